"""The handler of `configure_logging`."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import nullcontext
from typing import TextIO

from eco2_tracing._pipes import PIPE_BUF, is_pipe, long_text
from eco2_tracing.logs._formatter import EcsFormatter

_PYTEST = "_pytest.capture"
_MOST_NESTED = 3
# Characters of a line with its end that have at most `PIPE_BUF` bytes in UTF-8.
_SHORT = PIPE_BUF // 4 - 1


class StdoutHandler(logging.StreamHandler[TextIO]):
    """Writes each record as one line to the `sys.stdout` of the time at which the handler was made.

    A later `sys.stdout` is meant for `print`: a buffer of `contextlib.redirect_stdout`, which other threads must not
    write to, or an object that logs what is written to it. It is used in two cases: if the first one was closed, and
    if pytest captures the output.

    Never raises and never writes to stderr. A line that cannot be written is lost.

    Attributes:
        has_failed: True after a line that could not be written.
    """

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.formatter: logging.Formatter = EcsFormatter()
        self.has_failed = False
        self._stdout = sys.stdout  # `None` in a process without stdout, in spite of its type
        self._is_given = False
        self._writing: str | None = None
        self._outer: list[str] = []

    @property
    def stream(self) -> TextIO:
        """The stream in use. A stream that is assigned is used from then on."""
        stdout = self._stdout
        if not self._is_given and stdout is not sys.stdout:
            stdout = self._replacement(stdout)
        return stdout

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        self._stdout = stream
        self._is_given = True

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line and flush it, because the process may be killed after any line."""
        # Flat: this runs for every line.
        writing = self._writing
        try:
            if writing is not None and self._is_echo(record, writing):
                return
            line = self.formatter.format(record)
            self._writing = line
            stream = self._stdout
            if not self._is_given and stream is not sys.stdout:
                stream = self._replacement(stream)
            try:
                if len(line) <= _SHORT:
                    stream.write(line + "\n")
                    stream.flush()
                else:
                    _write_long(line, stream)
            except ValueError as error:
                self._write_again(line, stream, error)
        except Exception:  # noqa: BLE001 - every line passes here; a full disk or a closed pipe must not fail the request
            self.has_failed = True
        finally:
            self._writing = writing
            if writing is not None:
                self._outer.pop()

    def _replacement(self, stdout: TextIO | None) -> TextIO:
        """Return the stream to use while `sys.stdout` is another one than the handler's."""
        return sys.stdout if stdout is None or type(sys.stdout).__module__ == _PYTEST else stdout

    def _write_again(self, line: str, stream: TextIO | None, error: ValueError) -> None:
        """Write a line after a `ValueError`: the stream's encoding is not UTF-8, or it was closed or detached."""
        if isinstance(error, UnicodeEncodeError):
            line = _ascii(line)
        elif self._is_given or stream is sys.stdout:
            raise error
        else:
            stream = self._stdout = sys.stdout
        if stream is None:
            self.has_failed = True
            return
        stream.write(line + "\n")
        stream.flush()

    def _is_echo(self, record: logging.LogRecord, writing: str) -> bool:
        """Return True if the stream logs what is written to it, and this record has the line that is being written.

        The handler then changes to the interpreter's own stream. A record of a signal handler is no echo.
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


def _write_long(line: str, stream: TextIO) -> None:
    """Write a line that the kernel may mix with lines of other processes, such as one with a stack trace."""
    descriptor = _pipe_of(stream)
    with nullcontext() if descriptor is None else long_text(descriptor):
        stream.write(line + "\n")
        stream.flush()


def _pipe_of(stream: TextIO) -> int | None:
    try:
        descriptor = stream.fileno()
        return descriptor if is_pipe(descriptor) else None
    except (OSError, AttributeError):  # without a descriptor; `io.UnsupportedOperation` is an OSError
        return None


def _ascii(line: str) -> str:
    """Return a line of JSON or text with other characters than ASCII escaped."""
    try:
        return json.dumps(json.loads(line))
    except ValueError:
        return line.encode("ascii", "backslashreplace").decode()
