"""A process of the demo: started, read line by line, and stopped by its own id."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO, Self, cast


class ProcessError(Exception):
    """A process ended, or did not say in time what was waited for."""


class Child:
    """A running process whose output is collected.

    Args:
        name: What to call it in messages.
        command: Program and arguments.
        environ: Its whole environment.
        grace_s: Seconds between the request to end and the end by force.
    """

    def __init__(
        self, name: str, command: Sequence[str], environ: Mapping[str, str], *, grace_s: float = 8.0
    ) -> None:
        self.name = name
        self._grace_s = grace_s
        self._lines: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            command,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # Ctrl-C is ours to pass on, in order
        )
        self._output = cast("IO[str]", self._process.stdout)
        self._reader = threading.Thread(target=self._read, name=f"read-{name}", daemon=True)
        self._reader.start()

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
        """What it has written so far, to both streams."""
        with self._changed:
            return tuple(self._lines)

    def wait_for_line(self, pattern: str, timeout_s: float = 30.0) -> re.Match[str]:
        """Wait until it writes a line.

        Args:
            pattern: Regular expression to be found in the line.
            timeout_s: Seconds to wait at most.

        Raises:
            ProcessError: It ended before, or the time was up; the message has its last lines.
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
                    said = "\n".join(self._lines[-10:])
                    raise ProcessError(f"{self.name} did not get ready; it said:\n{said}")

    def stop(self) -> None:
        """End it, by force if it does not within its grace, and read what it said to the end."""
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
