"""The metrics of inbound requests and outgoing calls, by the stable HTTP conventions.

Source: https://opentelemetry.io/docs/specs/semconv/http/http-metrics/
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, set_span_in_context

from eco2_tracing.metrics._histograms import MOST_SERIES, OVERFLOW, ActiveCount, Durations, Named
from eco2_tracing.metrics._meters import meters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.metrics import Meter
    from opentelemetry.trace import SpanContext
    from opentelemetry.util.types import AttributeValue

    from eco2_tracing.metrics._histograms import Describe, Key

DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Upper bounds in seconds that the HTTP conventions advise for durations."""

SERVER_DURATION = Named("http.server.request.duration", "s", "Duration of HTTP server requests.")
SERVER_ACTIVE = Named("http.server.active_requests", "{request}", "Number of active HTTP server requests.")
CLIENT_DURATION = Named("http.client.request.duration", "s", "Duration of HTTP client requests.")

_SERVER_NAMES = (
    "http.request.method",
    "url.scheme",
    "http.route",
    "http.response.status_code",
    "network.protocol.version",
    "error.type",
)
_CLIENT_NAMES = (
    "http.request.method",
    "server.address",
    "server.port",
    "http.response.status_code",
    "network.protocol.version",
    "error.type",
)


def _described(names: tuple[str, ...]) -> Describe:
    """Return a function that names the values of a key. ``None`` is left out."""

    def describe(key: Key) -> dict[str, AttributeValue]:
        return {name: value for name, value in zip(names, key, strict=True) if value is not None}  # type: ignore[misc] # texts and numbers

    return describe


server_attributes = _described(_SERVER_NAMES)
active_attributes = _described(_SERVER_NAMES[:2])
client_attributes = _described(_CLIENT_NAMES)


class DurationRecorder(Protocol):
    """Records durations: `Durations`, or an instrument of the API."""

    def record(self, key: Key, seconds: float, exported: SpanContext | None) -> None:
        """Record one measurement."""


class ActiveRecorder(Protocol):
    """Counts active requests: `ActiveCount`, or an instrument of the API.

    Attributes:
        began: Called with the key of a request that begins.
        ended: Called with the key of a request that ends.
    """

    began: Callable[[Key], None]
    ended: Callable[[Key], None]


class InstrumentDurations:
    """Records durations with a histogram of the API, for providers of other packages.

    Args:
        meter: Creates the histogram.
        named: Name, unit and description.
        describe: Returns the attributes of a key.
    """

    def __init__(self, meter: Meter, named: Named, describe: Describe) -> None:
        name, unit, description = named
        self._histogram = meter.create_histogram(
            name, unit, description, explicit_bucket_boundaries_advisory=DURATION_BUCKETS
        )
        self._attributes = _AttributesOf(describe)

    def record(self, key: Key, seconds: float, exported: SpanContext | None) -> None:
        """Record one measurement, in the context of the span if its trace is exported."""
        context = Context()
        if exported is not None:
            context = set_span_in_context(NonRecordingSpan(exported), context)
        self._histogram.record(seconds, self._attributes[key], context)


class InstrumentCount:
    """Counts active requests with a counter of the API, for providers of other packages.

    Args:
        meter: Creates the counter.
        named: Name, unit and description.
        describe: Returns the attributes of a key.
    """

    def __init__(self, meter: Meter, named: Named, describe: Describe) -> None:
        self._counter = meter.create_up_down_counter(*named)
        self._attributes = _AttributesOf(describe)
        self.began: Callable[[Key], None] = partial(self._add, 1)
        self.ended: Callable[[Key], None] = partial(self._add, -1)

    def _add(self, change: int, key: Key) -> None:
        self._counter.add(change, self._attributes[key], Context())


class _AttributesOf(dict["Key", "Mapping[str, AttributeValue]"]):
    """The attributes of each key, of a limited number of keys."""

    def __init__(self, describe: Describe) -> None:
        super().__init__()
        self._describe = describe

    def __missing__(self, key: Key) -> Mapping[str, AttributeValue]:
        if len(self) >= MOST_SERIES - 1:
            return OVERFLOW
        found = self[key] = self._describe(key)
        return found


class HttpMetrics(NamedTuple):
    """The recorders of requests and calls.

    Attributes:
        server: Durations of inbound requests.
        active: Inbound requests that are being served.
        client: Durations of outgoing calls.
    """

    server: DurationRecorder
    active: ActiveRecorder
    client: DurationRecorder

    def touch(self) -> None:
        """Start the export thread of a process that serves no requests."""
        meters.touch()


def aggregated(*, has_exemplars: bool) -> tuple[Durations, ActiveCount, Durations]:
    """Return recorders that aggregate themselves, for the readers of our own provider."""
    active = ActiveCount(SERVER_ACTIVE, active_attributes)
    buckets = DURATION_BUCKETS
    return (
        Durations(
            SERVER_DURATION, buckets, server_attributes, has_exemplars=has_exemplars, also=active.drain
        ),
        active,
        Durations(CLIENT_DURATION, buckets, client_attributes, has_exemplars=has_exemplars),
    )


def instrumented(server: Meter, client: Meter) -> HttpMetrics:
    """Return recorders that use instruments of the API."""
    return HttpMetrics(
        InstrumentDurations(server, SERVER_DURATION, server_attributes),
        InstrumentCount(server, SERVER_ACTIVE, active_attributes),
        InstrumentDurations(client, CLIENT_DURATION, client_attributes),
    )
