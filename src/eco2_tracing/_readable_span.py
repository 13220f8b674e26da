"""Builds the SDK's `ReadableSpan` with its public constructor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util import BoundedList

_Item = TypeVar("_Item")


def readable_span(span: ReadableSpan, contents: Any) -> ReadableSpan:
    """Return a span with the identity of one span and other contents.

    Args:
        span: Context, parent, resource, scope, kind and times are taken from it.
        contents: Name, status, attributes, events, links and the dropped counts are taken from it. The span itself
            gives a copy.
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


def _bounded(items: Sequence[_Item], dropped: int) -> BoundedList[_Item]:
    bounded: BoundedList[_Item] = BoundedList.from_seq(None, items)
    bounded.dropped = dropped
    return bounded
