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
        self._stdout = sys.stdout  # `None` in a process without, in spite of its type
        self._is_given = False
        self._writing: str | None = None
        self._outer: list[str] = []

    @property
    def stream(self) -> TextIO:
        """The stream in use; assigning one keeps it."""
        stdout = self._stdout
        if not self._is_given and stdout is not sys.stdout:
            stdout = self._followed(stdout)
        return stdout

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        self._stdout = stream
        self._is_given = True

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, at once: a process may be killed after any of them.

        Args:
            record: Any record.
        """
        # Flat: this runs for every line.
        writing = self._writing
        try:
            if writing is not None and self._is_own_line(record, writing):
                return
            line = self.formatter.format(record)
            self._writing = line
            stream = self._stdout
            if not self._is_given and stream is not sys.stdout:
                stream = self._followed(stream)
            try:
                stream.write(line + "\n")
                stream.flush()
            except ValueError as error:
                self._write_otherwise(line, stream, error)
        except Exception:  # noqa: BLE001 - a full disk or a closed pipe is not the request's fault
            self.has_failed = True
        finally:
            self._writing = writing
            if writing is not None:
                self._outer.pop()

    def _followed(self, stdout: TextIO | None) -> TextIO:
        """Return the stream in use where `sys.stdout` was replaced."""
        return sys.stdout if stdout is None or type(sys.stdout).__module__ == _PYTEST else stdout

    def _write_otherwise(self, line: str, stream: TextIO | None, error: ValueError) -> None:
        """Write a line that a stream did not take: one that is not UTF-8, or was closed or detached."""
        if isinstance(error, UnicodeEncodeError):
            line = json.dumps(json.loads(line))
        elif self._is_given or stream is sys.stdout:
            raise error
        else:
            stream = self._stdout = sys.stdout
        if stream is None:
            self.has_failed = True
            return
        stream.write(line + "\n")
        stream.flush()

    def _is_own_line(self, record: logging.LogRecord, writing: str) -> bool:
        """Tell whether `sys.stdout` logs what is written to it, and this is the line that is being written.

        From then on the interpreter's own stream is used. A record of a signal handler is another one.
        """
        self._outer.append(writing)
        if writing not in record.getMessage() and len(self._outer) < _MOST_NESTED:
            return False
        if not self._is_given and self._stdout is not sys.__stdout__:
            self._stdout = sys.__stdout__
            if self._stdout is not None:
                self._stdout.write(self._outer[0] + "\n")
                self._stdout.flush()
        return True
