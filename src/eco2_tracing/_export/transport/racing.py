"""Connecting to the first of several addresses that answers (RFC 8305).

Attempts begin 250 ms apart, or as soon as the one before failed, so an address that is dead costs no more than that.
One thread waits for all of them.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from eco2_tracing import _native as native

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

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


@contextmanager
def collected(errors: list[OSError]) -> Iterator[None]:
    """Add what the block raises to a list: an address that fails in any way fails alone.

    Args:
        errors: The errors of all addresses.
    """
    try:
        yield
    except OSError as error:
        errors.append(error)
    except Exception as error:  # noqa: BLE001 - resolvers and socket addresses raise errors of many types
        errors.append(OSError(f"the address cannot be used ({type(error).__name__})"))


class Race:
    """Connects to one of several addresses, within a time, until another thread aborts it.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.pending: dict[socket.socket, Candidate] = {}
        self.aborted = False

    def connect(self, candidates: Sequence[Candidate], deadline: float) -> tuple[socket.socket, Candidate]:
        """Return the first connection that is established; all others are closed.

        Args:
            candidates: The addresses, the preferred one first.
            deadline: Reading of the clock at which to give up.

        Raises:
            TimeoutError: The deadline passed, or the race was aborted.
            OSError: Every attempt failed.
        """
        try:
            return self._run(deque(candidates), deadline)
        finally:
            self.close()

    def close(self) -> None:
        """Close what is pending; in a forked child, what was pending in the parent."""
        for sock in self.pending:
            sock.close()
        self.pending.clear()

    def abort(self) -> None:
        """From another thread: let pending attempts fail, and all later ones."""
        self.aborted = True
        for sock in tuple(self.pending):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _run(self, waiting: deque[Candidate], deadline: float) -> tuple[socket.socket, Candidate]:
        errors: list[OSError] = []
        next_at = self._clock()
        while waiting or self.pending:
            now = self._clock()
            if self.aborted or now >= deadline:
                raise TimeoutError("timed out")
            if waiting and (now >= next_at or not self.pending):
                next_at = now + ATTEMPT_DELAY_S
                self._begin(waiting.popleft(), errors)
            wait = min(next_at if waiting else deadline, deadline, now + ATTEMPT_DELAY_S) - now
            for sock in self._ready(max(wait, 0.0)):
                candidate = self.pending[sock]
                failure = self._outcome(sock)
                del self.pending[sock]
                if failure is None:
                    return sock, candidate
                sock.close()
                errors.append(failure)
                next_at = now
        raise errors[0] if errors else OSError("the name has no address")

    def _ready(self, timeout_s: float) -> list[socket.socket]:
        """Wait until attempts are decided, and return their sockets."""
        by_number = {sock.fileno(): sock for sock in self.pending}
        waiting = native.poll()
        for number in by_number:
            waiting.register(number, select.POLLOUT)
        return [by_number[number] for number, _ in waiting.poll(timeout_s * 1000)] if by_number else []

    def _begin(self, candidate: Candidate, errors: list[OSError]) -> None:
        """Begin an attempt; it is pending if it did not fail at once."""
        with collected(errors):
            sock = native.socket(candidate.family, socket.SOCK_STREAM)
            self.pending[sock] = candidate
            try:
                _start_connecting(sock, candidate)
            except BaseException:
                del self.pending[sock]
                sock.close()
                raise

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


def _start_connecting(sock: socket.socket, candidate: Candidate) -> None:
    sock.setblocking(False)
    if candidate.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A Unix socket whose backlog is full says EAGAIN, and is not connecting.
    code = sock.connect_ex(candidate.sockaddr)
    if code not in (0, errno.EINPROGRESS):
        raise OSError(code, os.strerror(code))
