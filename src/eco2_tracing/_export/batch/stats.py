"""The figures of one processor."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class DeliveryStats(NamedTuple):
    """What became of the spans handed to one processor, since the process began (or was forked).

    Attributes:
        endpoint: Where they go, without credentials.
        sent: Accepted by the receiver.
        queued: Waiting or under way.
        dropped: Lost, by reason: ``queue_full``, ``export_failed``, ``rejected``, ``unauthenticated``,
            ``unencodable``, ``shutdown``.
        last_error: The latest failure in words, or ``None``.
        last_error_at: When that was (UTC), or ``None``.
    """

    endpoint: str
    sent: int
    queued: int
    dropped: Mapping[str, int]
    last_error: str | None
    last_error_at: datetime | None
