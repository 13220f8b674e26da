"""CPU time and memory of processes, and the cores that they run on."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def on_core(core: int) -> tuple[str, ...]:
    """Give the words that run a command on one core; none where that is not possible."""
    if shutil.which("taskset") and (os.cpu_count() or 1) > core:
        return ("taskset", "-c", str(core))
    return ()


def children(pid: int) -> list[int]:
    """Give a process and its descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += children(int(child))
    return found


def cpu_s(pid: int) -> float:
    """Give the CPU seconds of a process and its descendants, in clock ticks."""
    total = 0
    for one in children(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICK


def memory_mib(pid: int) -> float:
    """Give the resident memory of a process and its descendants."""
    kib = 0
    for one in children(pid):
        for line in Path(f"/proc/{one}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                kib += int(line.split()[1])
    return kib / 1024


def wait_until(reached: Callable[[], bool], what: str, limit_s: float = 30.0) -> None:
    """Wait until a condition holds.

    Raises:
        TimeoutError: It did not in time.
    """
    end = time.monotonic() + limit_s
    while not reached():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {limit_s:g} s for {what}")
        time.sleep(0.05)


def wait_idle(pid: int, limit_s: float = 6.0) -> None:
    """Wait until a process has used no CPU for a quarter of a second, or the limit is over."""
    end = time.monotonic() + limit_s
    before = cpu_s(pid)
    while time.monotonic() < end:
        time.sleep(0.25)
        now = cpu_s(pid)
        if now == before:
            return
        before = now
