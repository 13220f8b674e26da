"""Programs on a pseudo-terminal: what is on the screen, Ctrl-C, and the exit status."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

LIMIT_S = 40.0
# The terminal becomes that of the new session, whose first process then is the program.
_IN_FOREGROUND = """import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x1b\x07]*(?:\x1b\\|\x07))")


class Terminal:
    """A program in the foreground of a terminal of its own.

    Args:
        command: Its command line.
        environ: Its environment.
        cwd: Its working directory.
        columns: The width of the terminal.
    """

    def __init__(
        self, command: Sequence[str], environ: Mapping[str, str], cwd: Path, columns: int = 120
    ) -> None:
        self._written = ""
        self._changed = threading.Condition()
        self._ended = False
        self._descriptor, terminal = os.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-c", _IN_FOREGROUND, *command],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=dict(environ),
            cwd=cwd,
            start_new_session=True,
        )
        os.close(terminal)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._descriptor, 65536)
            except OSError:  # Linux: the last process has closed the terminal
                data = b""
            with self._changed:
                self._written += data.decode("utf-8", "replace")
                self._ended = not data
                self._changed.notify_all()
            if not data:
                return

    @property
    def raw(self) -> str:
        """All that was written, with escape sequences."""
        with self._changed:
            return self._written.replace("\r\n", "\n")

    @property
    def screen(self) -> str:
        """All that was written, as it is read."""
        return _ESCAPES.sub("", self.raw)

    def wait_for(self, pattern: str, count: int = 1) -> re.Match[str]:
        """Wait until a regular expression was found so many times; return the last match."""
        end = time.monotonic() + LIMIT_S
        with self._changed:
            while True:
                found = list(re.finditer(pattern, _ESCAPES.sub("", self._written)))
                if len(found) >= count:
                    return found[count - 1]
                left = end - time.monotonic()
                if self._ended or not self._changed.wait(max(left, 0)):
                    raise AssertionError(f"{pattern} is not on the screen:\n{self._written}")

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._descriptor, keys.encode())

    def wait(self) -> int:
        """Wait until every process has left the terminal; return the exit status."""
        self._reader.join(LIMIT_S)
        assert not self._reader.is_alive(), self.raw
        return self._process.wait(LIMIT_S)

    def close(self) -> None:
        """End what still runs."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._reader.join()
        os.close(self._descriptor)


@contextmanager
def on_terminal(
    command: Sequence[str], environ: Mapping[str, str], cwd: Path, columns: int = 120
) -> Iterator[Terminal]:
    """Run a program on a terminal until the block ends."""
    terminal = Terminal(command, environ, cwd, columns)
    try:
        yield terminal
    finally:
        terminal.close()
