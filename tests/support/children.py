"""Child processes as those of the demo, forked from a process that has imported third-party packages already."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import IO

from eco2_tracing._cli import processes
from tests.support import programs


class Child(processes.Child):
    """A running process whose standard output and error are collected."""

    def _start(self, command: Sequence[str], environ: Mapping[str, str]) -> tuple[programs.Process, IO[str]]:
        reads, writes = os.pipe()
        with os.fdopen(writes, "wb") as out:
            process = programs.start(command, stdout=out, stderr=out, env=environ, start_new_session=True)
        return process, os.fdopen(reads, encoding="utf-8", errors="replace")
