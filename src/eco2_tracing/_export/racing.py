"""Connecting to the first of several addresses that answers (RFC 8305).

Attempts begin 250 ms apart, or as soon as the one before failed, so an address that is dead costs no more than that.
One thread waits for all of them.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

ATTEMPT_DELAY_S = 0.25
"""RFC 8305, section 5: "Connection Attempt Delay"."""


class Candidate(NamedTuple):
    """One address of a peer.

    Attributes:
        family: Its address family.
        sockaddr: The address, as `socket.socket.connect` takes it.
        host: The host that it is an address of, which its certificate must name.
    """

    family: int
    sockaddr: Any
    host: str


def interleaved(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Order candidates so that address families alternate, beginning with the first one's (RFC 8305, section 4)."""
    families: dict[int, deque[Candidate]] = {}
    for candidate in dict.fromkeys(candidates):
        families.setdefault(candidate.family, deque()).append(candidate)
    ordered: list[Candidate] = []
    while families:
        for family in tuple(families):
            ordered.append(families[family].popleft())
            if not families[family]:
                del families[family]
    return ordered


class Race:
    """Connects to one of several addresses, within a time, until another thread aborts it.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.pending: list[socket.socket] = []
        self.aborted = False
        self._selector: selectors.BaseSelector | None = None

    def connect(self, candidates: Sequence[Candidate], deadline: float) -> tuple[socket.socket, Candidate]:
        """Return the first connection that is established; all others are closed.

        Args:
            candidates: The addresses, the preferred one first.
            deadline: Reading of the clock at which to give up.

        Raises:
            TimeoutError: The deadline passed, or the race was aborted.
            OSError: Every attempt failed.
        """
        self._selector = selectors.DefaultSelector()
        try:
            return self._run(deque(candidates), deadline, self._selector)
        finally:
            self.close()

    def close(self) -> None:
        """Close what is pending; in a forked child, what was pending in the parent."""
        for sock in self.pending:
            sock.close()
        self.pending.clear()
        selector, self._selector = self._selector, None
        if selector is not None:
            selector.close()

    def abort(self) -> None:
        """From another thread: let pending attempts fail, and all later ones."""
        self.aborted = True
        for sock in tuple(self.pending):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _run(
        self, waiting: deque[Candidate], deadline: float, selector: selectors.BaseSelector
    ) -> tuple[socket.socket, Candidate]:
        errors: list[OSError] = []
        next_at = self._clock()
        while waiting or self.pending:
            now = self._clock()
            if self.aborted or now >= deadline:
                raise TimeoutError("timed out")
            if waiting and (now >= next_at or not self.pending):
                next_at = now + ATTEMPT_DELAY_S
                self._begin(waiting.popleft(), selector, errors)
            wait = min(next_at if waiting else deadline, deadline, now + ATTEMPT_DELAY_S) - now
            for key, _ in selector.select(max(wait, 0) if self.pending else 0):
                failure = self._outcome(key.fileobj)  # type: ignore[arg-type]  # our sockets are registered
                selector.unregister(key.fileobj)
                self.pending.remove(key.fileobj)  # type: ignore[arg-type]
                if failure is None:
                    return key.fileobj, key.data  # type: ignore[return-value]
                key.fileobj.close()  # type: ignore[union-attr]
                errors.append(failure)
                next_at = now
        raise errors[0] if errors else OSError("the name has no address")

    def _begin(self, candidate: Candidate, selector: selectors.BaseSelector, errors: list[OSError]) -> None:
        """Begin an attempt; it is pending if it did not fail at once."""
        try:
            sock = socket.socket(candidate.family, socket.SOCK_STREAM)
        except OSError as error:
            errors.append(error)
            return
        self.pending.append(sock)
        try:
            sock.setblocking(False)
            if candidate.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect(candidate.sockaddr)
        except OSError as error:
            # A Unix socket whose backlog is full says EAGAIN, and is not connecting.
            if error.errno != errno.EINPROGRESS:
                self.pending.remove(sock)
                sock.close()
                errors.append(error)
                return
        selector.register(sock, selectors.EVENT_WRITE, candidate)

    @staticmethod
    def _outcome(sock: socket.socket) -> OSError | None:
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            return OSError(code, os.strerror(code))
        try:
            sock.getpeername()  # a socket that another thread shut down is writable too
        except OSError as error:
            return error
        return None
