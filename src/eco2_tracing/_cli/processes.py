"""Child processes: started, read line by line, stopped."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO, Self, cast


class ProcessError(Exception):
    """A process ended or timed out before it wrote the expected line."""


class Child:
    """A running process whose standard output and error are collected.

    Args:
        name: Its name in messages.
        command: Program and arguments.
        environ: Its whole environment.
        grace_s: Seconds between SIGTERM and SIGKILL.
    """

    def __init__(
        self, name: str, command: Sequence[str], environ: Mapping[str, str], *, grace_s: float = 8.0
    ) -> None:
        self.name = name
        self._grace_s = grace_s
        self._lines: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self._process, self._output = self._start(command, environ)
        self._reader = threading.Thread(target=self._read, name=f"read-{name}", daemon=True)
        self._reader.start()

    def _start(
        self, command: Sequence[str], environ: Mapping[str, str]
    ) -> tuple[subprocess.Popen[str], IO[str]]:
        process = subprocess.Popen(
            command,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # Ctrl-C reaches this process alone, which then stops its children
        )
        return process, cast("IO[str]", process.stdout)

    def _read(self) -> None:
        for line in self._output:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines written so far."""
        with self._changed:
            return tuple(self._lines)

    def wait_for_line(self, pattern: str, timeout_s: float = 30.0) -> re.Match[str]:
        """Wait for a line of output.

        Raises:
            ProcessError: The process ended, or the time was up; the message has its last lines.
        """
        deadline, seen = time.monotonic() + timeout_s, 0
        with self._changed:
            while True:
                for line in self._lines[seen:]:
                    if found := re.search(pattern, line):
                        return found
                seen = len(self._lines)
                left = deadline - time.monotonic()
                if self._ended or not self._changed.wait(max(left, 0)):
                    output = "\n".join(self._lines[-10:])
                    raise ProcessError(f"{self.name} did not start; its last output:\n{output}")

    def stop(self) -> None:
        """Send SIGTERM, then SIGKILL after the grace period; read the rest of the output."""
        self._process.terminate()
        try:
            self._process.wait(self._grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._output.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()
