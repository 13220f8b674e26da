"""The trace context of a received message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import propagate
from opentelemetry.context import Context

if TYPE_CHECKING:
    from eco2_tracing._instrumentation.common.carrier_headers import Headers


def incoming(headers: Headers | None) -> Context:
    """Extract the trace context of a message.

    Args:
        headers: The message's headers; names in any case, values of any kind. Of equal names the last one counts.

    Returns:
        A new context, with the producer's span as the current one if the headers name it.
    """
    carrier: dict[str, str] = {}
    for name, value in headers or ():
        if isinstance(value, bytes):
            carrier[name.lower()] = value.decode("latin-1")
        elif isinstance(value, str):
            carrier[name.lower()] = value
    return propagate.extract(carrier, Context())
