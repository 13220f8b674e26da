"""Shortens the wait for exports at the end of a process for which a person waits."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eco2_tracing._export.batch.batcher import Batcher

_SLICE_S = 0.02
_SILENCE_S = 0.5
"""Longest time for an address that sends nothing.

The server and the interpreter take 0.25 to 0.35 s to end: Ctrl-C then takes less than a second.
"""
_RETRY_S = 0.55
"""Longest time for an address that answers with failures; the first retry takes place within it."""
_MEMORY_S = 5.0
"""Time in which the next wait of the same end does not try again."""


def person_waits(argv: Sequence[str] = sys.argv, streams: Iterable[int] = (2, 0)) -> bool:
    """Return whether a person waits for the end of this process.

    That is so in the foreground of a terminal, where Ctrl-C or the reload of a server ends it, and under ``--reload``
    anywhere.

    Args:
        argv: The arguments of this process. Children of ``multiprocessing`` have those of their parent.
        streams: File descriptors that may be a terminal.
    """
    return "--reload" in argv or argv[1:2] == ["dev"] or any(map(_is_foreground, streams))


def _is_foreground(stream: int) -> bool:
    with suppress(OSError, AttributeError):  # no terminal; no such function on Windows
        return os.tcgetpgrp(stream) == os.getpgrp()
    return False


class Patience:
    """How long the end of a process waits for exports, in the same budget at its lifespan, signal and exit."""

    def __init__(self) -> None:
        self._hopeless_until = 0.0

    def useful_seconds(self, exporters: Sequence[Batcher], limit_s: float) -> float:
        """Deliver what is queued as long as that may succeed, and return the seconds that are left.

        Args:
            exporters: The exporters of all signals.
            limit_s: Longest time to wait, in seconds.

        Returns:
            The rest of the time; 0 if the address refuses connections, or fails or sends nothing for too long.
        """
        begun, since = monotonic(), datetime.now(UTC)
        if begun < self._hopeless_until:
            return 0.0
        waiting = list(exporters)
        while waiting and (left_s := limit_s - (monotonic() - begun)) > 0:
            waiting = [each for each in waiting if not each.force_flush(min(left_s, _SLICE_S) * 1000)]
            hopeless = [each for each in waiting if _is_hopeless(each, since, monotonic() - begun)]
            if hopeless and len(hopeless) == len(waiting):
                self._hopeless_until = monotonic() + _MEMORY_S
                return 0.0
        return max(0.0, limit_s - (monotonic() - begun))


def _is_hopeless(exporter: Batcher, since: datetime, waited_s: float) -> bool:
    stats = exporter.stats()
    if stats.last_error_at is None or stats.last_error_at < since:
        return waited_s > _SILENCE_S and not exporter.is_answered()
    return waited_s > _RETRY_S or "refused" in (stats.last_error or "").lower()
