"""Sums of what the queues count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from eco2_tracing.metrics._health import Delivered

if TYPE_CHECKING:
    from eco2_tracing._export import DeliveryStats


def delivered(stats: Iterable[DeliveryStats], lost: Mapping[str, int] = {}) -> Delivered:
    """Return the sum of the counts of several queues.

    Args:
        stats: Their counts.
        lost: What was lost before it was queued, by reason.
    """
    dropped = dict(lost)
    sent = queued = 0
    for each in stats:
        sent += each.sent
        queued += each.queued
        for reason, count in each.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
    return Delivered(sent, queued, dropped)
