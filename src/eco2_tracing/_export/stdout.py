"""Writes whole lines to stdout beside other threads and processes that do."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from typing import TextIO

from eco2_tracing._native import RLock, original, poll
from eco2_tracing._pipes import PIPE_BUF, is_pipe, long_text

_PATIENCE_MS = 5_000
_STEP_MS = 50
# For streams whose encoding has no box-drawing characters.
_ASCII = str.maketrans("━╸╺┄├└╴│·…\N{MULTIPLICATION SIGN}", "=--.|`-|-.x")
_write: Callable[[int, bytes], int] = original(os, "write")


class LineWriter:
    """Writes texts of whole lines with one call of ``write`` each, so that lines of others never stand within them.

    The kernel does not mix the data of two calls for terminals and regular files, whatever their size. For pipes it
    guarantees so only up to `PIPE_BUF` bytes. A longer text is written to a pipe in pieces of whole lines; a lock that
    processes share keeps other long texts and long log lines out, but not short log lines.

    Args:
        stream: The stream; ``None`` in a process without stdout.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.renew()

    def renew(self) -> None:
        """Replace the lock, as in a forked child; write again after `cancel`."""
        self._lock = RLock()
        self._cancelled = False
        self._torn = False

    @property
    def stream(self) -> TextIO | None:
        """The stream."""
        return self._stream

    def cancel(self) -> None:
        """Give up what cannot be written at once."""
        self._cancelled = True

    def write(self, text: str) -> bool:
        """Write a text.

        Returns:
            False if it could not be written: the stream is closed, nobody reads the pipe, or the disk is full.
        """
        stream = self._stream
        if stream is None:
            return False
        try:
            # Asked each time: a file descriptor of a closed stream may be that of a socket by now.
            descriptor = stream.fileno()
        except (OSError, ValueError, AttributeError):
            return _written(stream, text)
        try:
            with self._lock:
                self._write_lines(descriptor, _encoded(text, stream))
        except OSError:
            return False
        return True

    def _write_lines(self, descriptor: int, data: bytes) -> None:
        if self._torn:
            self._torn, data = False, b"\n" + data
        if len(data) <= PIPE_BUF or not is_pipe(descriptor):
            self._write_all(descriptor, data)
            return
        with long_text(descriptor):
            for piece in _pieces(data):
                self._write_all(descriptor, piece)

    def _write_all(self, descriptor: int, data: bytes) -> None:
        """Write everything; wait for a descriptor that another program has made non-blocking.

        Raises:
            OSError: It cannot be written.
        """
        waited = 0
        while data:
            try:
                data = data[_write(descriptor, data) :]
            except BlockingIOError:
                waited += _STEP_MS
                if self._cancelled or waited > _PATIENCE_MS:
                    self._torn = True
                    raise
                ready = poll()
                ready.register(descriptor, select.POLLOUT)
                ready.poll(_STEP_MS)


def _written(stream: TextIO, text: str) -> bool:
    """Write to a stream without a file descriptor, such as pytest's."""
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError, AttributeError):
        return False
    return True


def _encoded(text: str, stream: TextIO) -> bytes:
    encoding = stream.encoding or "utf-8"
    if encoding.lower().startswith("utf"):
        return text.encode(encoding, "replace")
    return text.translate(_ASCII).encode(encoding, "replace")


def _pieces(data: bytes) -> Iterator[bytes]:
    """Yield pieces of whole lines that are at most `PIPE_BUF` long; a longer line is a piece of its own."""
    piece = b""
    for line in data.splitlines(keepends=True):
        if len(piece) + len(line) > PIPE_BUF and piece:
            yield piece
            piece = b""
        piece += line
    yield piece
