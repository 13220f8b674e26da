"""The handler of `configure_logging`."""

from __future__ import annotations

import json
import logging
import sys
from typing import TextIO

from eco2_tracing.logs._formatter import EcsFormatter

_PYTEST = "_pytest.capture"
_MOST_NESTED = 3


class StdoutHandler(logging.StreamHandler[TextIO]):
    """Writes each record as one ECS line to the process's stdout.

    That is what `sys.stdout` was when the handler was made. What replaces it later is for what is printed: a buffer of
    `contextlib.redirect_stdout`, which other threads must not write to, or an object that logs what it is given. Two
    kinds of stream are followed: the one in the place of a closed one, and what pytest captures with.

    Never raises and never writes to stderr: a log line that cannot be written is lost in silence.

    Attributes:
        has_failed: Set when a line could not be written.
    """

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.formatter: EcsFormatter = EcsFormatter()
        self.has_failed = False
        self._stdout: TextIO | None = sys.stdout
        self._given: TextIO | None = None
        self._writing: list[str] = []

    @property
    def stream(self) -> TextIO:
        """The stream in use; assigning one keeps it."""
        if self._given is not None:
            return self._given
        now = sys.stdout
        if now is not self._stdout and (self._stdout is None or type(now).__module__ == _PYTEST):
            return now
        return self._stdout

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        self._given = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, at once: a process may be killed after any of them.

        Args:
            record: Any record.
        """
        try:
            if self._writing and self._is_own_line(record):
                return
            line = self.formatter.format(record)
            self._writing.append(line)
            try:
                self._write(line)
            finally:
                self._writing.pop()
        except Exception:  # noqa: BLE001 - a full disk or a closed pipe is not the request's fault
            self.has_failed = True

    def _write(self, line: str) -> None:
        stream = self.stream
        try:
            stream.write(line + "\n")
            stream.flush()
        except UnicodeEncodeError:  # a stream that is not UTF-8
            stream.write(json.dumps(json.loads(line)) + "\n")
            stream.flush()
        except ValueError:  # closed or detached: `sys.stdout` is another one by now
            if self._given is not None or stream is sys.stdout:
                raise
            self._stdout = sys.stdout
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    def _is_own_line(self, record: logging.LogRecord) -> bool:
        """Tell whether `sys.stdout` logs what is written to it, and this is the line that is being written.

        From then on the interpreter's own stream is used. A record of a signal handler is another one.
        """
        if self._writing[-1] not in record.getMessage() and len(self._writing) < _MOST_NESTED:
            return False
        if self._given is None and self._stdout is not sys.__stdout__:
            self._stdout = sys.__stdout__
            self._write(self._writing[0])
        return True
