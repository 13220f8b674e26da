"""Waits until gunicorn can be stopped.

From its fork to its `init_signals` a worker has the signal handlers of its master. They put a signal into a queue that
only the master reads. A worker that gets SIGTERM in this time does not end, and the master waits 30 s for it.
"""

from __future__ import annotations

import re
import signal
import time
from contextlib import suppress
from pathlib import Path

from tests.support.programs import Process

LIMIT_S = 30.0
# The last option counts.
_WORKERS = re.compile(r"\bgunicorn .*(?: -w| --workers)[ =]?(\d+)")
# The master has a handler for SIGUSR2, its workers have none.
_USR2 = 1 << (signal.SIGUSR2 - 1)


def wait_for_workers(process: Process) -> None:
    """Wait until all workers of a gunicorn have signal handlers of their own; returns at once for other programs.

    Args:
        process: A program; without `-w` gunicorn has one worker, which has its handlers before it answers.
    """
    workers = _WORKERS.search(" ".join(process.args))
    if workers is None or not Path("/proc/self/status").exists():
        return
    end = time.monotonic() + LIMIT_S
    while _listening(process.pid) < int(workers[1]) and process.poll() is None:
        assert time.monotonic() < end, f"not all workers listen: {process.args}"
        time.sleep(0.02)


def _listening(master: int) -> int:
    """How many children of a process have no handler for SIGUSR2."""
    found = 0
    for path in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            fields = dict(line.split(":\t", 1) for line in path.read_text().splitlines() if ":\t" in line)
            found += int(fields["PPid"]) == master and not int(fields["SigCgt"], 16) & _USR2
    return found
