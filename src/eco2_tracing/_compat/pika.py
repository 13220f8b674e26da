"""Private names of `pika`. Checked with 1.3 and 1.4."""

from __future__ import annotations

from typing import Any

Address = tuple[str | None, int | None]
UNKNOWN: Address = (None, None)


def address(connection: Any) -> Address:
    """Return host and port of a connection's broker.

    A blocking connection keeps its parameters in a private connection (`BlockingConnection._impl`). Without that name
    the broker is unknown.
    """
    parameters = getattr(connection, "params", None)
    if parameters is None:
        parameters = getattr(getattr(connection, "_impl", None), "params", None)
    return UNKNOWN if parameters is None else (parameters.host, parameters.port)
