"""The SDK's own `ReadableSpan`, made by its public constructor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util import BoundedList


def readable_span(span: ReadableSpan, contents: Any) -> ReadableSpan:
    """Make a span with the identity of one and the contents of another object.

    Args:
        span: Gives context, parent, resource, scope, kind and times.
        contents: Gives name, status, attributes, events, links, and how many of the last three were dropped. The span
            itself gives a copy of it.
    """
    attributes = BoundedAttributes(None, contents.attributes)
    attributes.dropped = contents.dropped_attributes
    return ReadableSpan(
        name=contents.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        events=_bounded(contents.events, contents.dropped_events),
        links=_bounded(contents.links, contents.dropped_links),
        kind=span.kind,
        status=contents.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _bounded(items: Sequence[Any], dropped: int) -> Any:
    bounded = BoundedList.from_seq(None, items)
    bounded.dropped = dropped
    return bounded
