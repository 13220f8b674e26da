"""Connects to the first of several addresses that answers (RFC 8305).

Attempts start 250 ms apart, or when the previous one failed. One thread waits for all of them.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections import deque
from contextlib import ExitStack, contextmanager, suppress
from itertools import zip_longest
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
        host: Its host name, which the certificate must have.
    """

    family: int
    sockaddr: Any
    host: str


def interleaved(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Order candidates so that address families alternate, beginning with the first one's (RFC 8305, section 4)."""
    families: dict[int, list[Candidate]] = {}
    for candidate in dict.fromkeys(candidates):
        families.setdefault(candidate.family, []).append(candidate)
    rows = zip_longest(*families.values())
    return [candidate for row in rows for candidate in row if candidate is not None]


@contextmanager
def collected(errors: list[OSError]) -> Iterator[None]:
    """Append an error of the block to a list, as an `OSError`: other addresses are still tried."""
    try:
        yield
    except OSError as error:
        errors.append(error)
    except Exception as error:  # noqa: BLE001 - resolvers and socket addresses raise errors of many types
        errors.append(OSError(f"the address cannot be used ({type(error).__name__})"))


class Race:
    """Connects to one of several addresses, until the deadline or until another thread aborts it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.pending: dict[socket.socket, Candidate] = {}
        self.aborted = False

    def connect(self, candidates: Sequence[Candidate], deadline: float) -> tuple[socket.socket, Candidate]:
        """Return the first connection that is established, and close all others.

        Raises:
            TimeoutError: The deadline passed, or the race was aborted.
            OSError: Every attempt failed.
        """
        try:
            return self._run(deque(candidates), deadline)
        finally:
            self.close()

    def close(self) -> None:
        """Close pending sockets; in a forked child, those of the parent."""
        for sock in self.pending:
            sock.close()
        self.pending.clear()

    def abort(self) -> None:
        """Called by another thread: fail pending attempts and all later ones."""
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
        """Wait until attempts succeed or fail, and return their sockets."""
        by_number = {sock.fileno(): sock for sock in self.pending}
        waiting = native.poll()
        for number in by_number:
            waiting.register(number, select.POLLOUT)
        return [by_number[number] for number, _ in waiting.poll(timeout_s * 1000)] if by_number else []

    def _begin(self, candidate: Candidate, errors: list[OSError]) -> None:
        """Start an attempt. It is pending unless it fails at once."""
        with collected(errors), ExitStack() as on_error:
            sock = native.socket(candidate.family, socket.SOCK_STREAM)
            on_error.callback(sock.close)
            self.pending[sock] = candidate
            on_error.callback(self.pending.pop, sock)
            _start_connecting(sock, candidate)
            on_error.pop_all()

    @staticmethod
    def _outcome(sock: socket.socket) -> OSError | None:
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            return OSError(code, os.strerror(code))
        try:
            sock.getpeername()  # fails for a socket that another thread shut down
        except OSError as error:
            return error
        return None


def _start_connecting(sock: socket.socket, candidate: Candidate) -> None:
    sock.setblocking(False)
    if candidate.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # EAGAIN of a Unix socket means that its backlog is full.
    code = sock.connect_ex(candidate.sockaddr)
    if code not in (0, errno.EINPROGRESS):
        raise OSError(code, os.strerror(code))
