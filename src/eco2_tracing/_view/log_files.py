"""Follows JSON log lines of files and streams, and adds them to their traces."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

from eco2_tracing._view.log_records import request_of_line

if TYPE_CHECKING:
    from eco2_tracing._view.store import Store

_LONGEST = 256 * 1024
_PER_READ = 64 * 1024
_EARLIER = 4 * 1024 * 1024
_TURN_S = 0.1
_MOST_PENDING = 500


class LineReader:
    """Adds the lines of one source to a store, in their traces.

    A line that is too long, or that is no JSON object, is left out and counted.

    Args:
        store: The store.
        source: The name of the file.
    """

    def __init__(self, store: Store, source: str) -> None:
        self._store = store
        self._source = source
        self._rest = b""
        self._skips = False  # to the end of a line that is too long

    def feed(self, data: bytes) -> None:
        """Add the lines that are complete."""
        self._add(self._complete(data))

    def end(self) -> None:
        """Take what is left as a line."""
        if self._rest:
            self.feed(b"\n")

    def forget(self) -> None:
        """Leave out the beginning of a line whose rest will not come."""
        self._rest, self._skips = b"", False

    def skip_line(self) -> None:
        """Leave out what comes before the end of a line."""
        self._skips = True

    def _complete(self, data: bytes) -> Iterator[bytes]:
        *lines, rest = data.split(b"\n")
        for line in lines:
            whole, self._rest = self._rest + line, b""
            if self._skips:
                self._skips = False
            elif len(whole) <= _LONGEST:
                yield whole
            else:
                self._store.refuse("log lines that are too long")
        if not self._skips:
            self._rest += rest
            if len(self._rest) > _LONGEST:
                self._store.refuse("log lines that are too long")
                self._rest, self._skips = b"", True

    def _add(self, lines: Iterable[bytes]) -> None:
        now = time.time_ns()
        requests, others = [], 0
        for line in lines:
            request = request_of_line(line, self._source, now)
            if request is not None:
                requests.append(request)
            else:
                others += bool(line.strip())
        self._store.refuse("log lines that are no JSON objects", others)
        for at in range(0, len(requests), _MOST_PENDING):
            self._store.add_log_lines(requests[at : at + _MOST_PENDING])


class FollowedFile:
    """Follows a file from its last 4 MiB on, in a thread. It is a context manager.

    A file that is replaced is read to its end, then the new one from its beginning. A file that is truncated is read
    from its beginning. A file that does not exist is waited for.

    Args:
        store: The store.
        path: The file.
    """

    def __init__(self, store: Store, path: str) -> None:
        self._path = path
        self._reader = LineReader(store, path)
        self._file: BinaryIO | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="view-logs", daemon=True)

    def __enter__(self) -> Self:
        """Begin to read.

        Raises:
            OSError: It is a folder, or another thing that is no file.
        """
        path = Path(self._path)
        if path.exists() and not path.is_file():
            raise OSError(f"{path} is no file")
        self._open()
        if self._file is not None:
            begin = max(os.fstat(self._file.fileno()).st_size - _EARLIER, 0)
            self._file.seek(begin)
            if begin:
                self._reader.skip_line()
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        """Read what is left, and close the file."""
        self._stopped.set()
        self._thread.join()
        self._reader.end()
        if self._file is not None:
            self._file.close()

    def _run(self) -> None:
        while not self._stopped.wait(_TURN_S):
            self._read()
        self._read()

    def _open(self) -> None:
        with suppress(OSError):
            self._file = Path(self._path).open("rb", buffering=0)  # noqa: SIM115 - closed by `__exit__`

    def _read(self) -> None:
        """Read to the end of the file, and of the one that has replaced it."""
        if self._file is None:
            self._open()
        while self._file is not None:
            self._rewind_if_truncated(self._file)
            while data := self._file.read(_PER_READ):
                self._reader.feed(data)
            if not self._is_replaced(self._file):
                return
            self._reader.end()
            self._file.close()
            self._file = None
            self._open()

    def _rewind_if_truncated(self, file: BinaryIO) -> None:
        if os.fstat(file.fileno()).st_size < file.tell():
            file.seek(0)
            self._reader.forget()

    def _is_replaced(self, file: BinaryIO) -> bool:
        try:
            return not os.path.samestat(Path(self._path).stat(), os.fstat(file.fileno()))
        except OSError:
            return False  # it will be there again


def follow_stream(store: Store, stream: int, output: int, name: str) -> Callable[[float], None]:
    """Pass a stream on as it is, and add its lines to a store, in a thread.

    Args:
        store: The store.
        stream: The file descriptor that is read until it ends, and closed then.
        output: The file descriptor that is written to; that it is closed does not stop the reading.
        name: The name of the stream.

    Returns:
        A function that waits for the end, at most so many seconds. No line is added after it has returned.
    """
    reader = LineReader(store, name)
    over = threading.Event()

    def run() -> None:
        passes = True
        while data := os.read(stream, _PER_READ):
            passes = passes and _write(output, data)
            if not over.is_set():
                reader.feed(data)
        os.close(stream)
        if not over.is_set():
            reader.end()

    def finish(timeout_s: float) -> None:
        thread.join(timeout_s)
        over.set()

    thread = threading.Thread(target=run, name="view-logs", daemon=True)
    thread.start()
    return finish


def _write(output: int, data: bytes) -> bool:
    """Write all; return False if the output is closed."""
    try:
        while data:
            data = data[os.write(output, data) :]
    except OSError:
        return False
    return True
