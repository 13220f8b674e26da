"""Private names of `aio-pika`. Checked with 9.5 and 10.2."""

from __future__ import annotations

from typing import Any

Address = tuple[str | None, int | None]
UNKNOWN: Address = (None, None)

_DEFAULT_PORT = 5672


def address(channel: Any) -> Address:
    """Return host and port of a channel's broker.

    A channel keeps its connection in a private attribute (`Channel._connection`); older versions have a public
    ``connection``. Without either the broker is unknown.
    """
    connection = getattr(channel, "_connection", None) or getattr(channel, "connection", None)
    return UNKNOWN if connection is None else (connection.url.host, connection.url.port or _DEFAULT_PORT)
