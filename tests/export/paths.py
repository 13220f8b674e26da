"""A TCP forwarder that can be broken."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self

RESET_AT_CLOSE = b"\1\0\0\0\0\0\0\0"


class Path:
    """Forwards connections to a port, as long as it is open.

    What happens to a connection while it is not stays so: nothing more comes through it.

    Attributes:
        fault: ``None`` while open; ``silent``: takes everything and hands on nothing; ``reset``: breaks off.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self.fault: str | None = None

    def __enter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._near: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        for near in self._near:
            with suppress(OSError):
                near.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._socket.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._carry, args=(near,))
            self._threads.append(thread)
            self._near.append(near)
            thread.start()

    def _carry(self, near: socket.socket) -> None:
        with near, socket.create_connection(("127.0.0.1", self._target)) as far:
            back = threading.Thread(target=_pump, args=(far, near))
            back.start()
            try:
                while self.fault is None and (data := near.recv(65536)) and self.fault is None:
                    far.sendall(data)
                if self.fault == "silent":
                    while near.recv(65536):
                        pass
                elif self.fault == "reset":
                    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
            except OSError:
                pass
            finally:
                # The reading side alone: a connection that is broken off sends nothing, not even its end.
                with suppress(OSError):
                    far.shutdown(socket.SHUT_RDWR)
                back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
