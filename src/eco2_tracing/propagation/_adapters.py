"""OpenTelemetry's propagator interface: carriers as header pairs, and propagators of other packages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter, TextMapPropagator
from opentelemetry.trace import NonRecordingSpan, SpanContext, get_current_span, set_span_in_context

from eco2_tracing._guard import guarded, result_or_error, warn_once
from eco2_tracing.propagation._formats import KNOWN_FLAGS, TRACE_HEADERS, Candidate
from eco2_tracing.propagation._inbound import SPAN_KEY

if TYPE_CHECKING:
    from opentelemetry.propagators.textmap import CarrierT


Pairs = list[tuple[bytes, bytes]]
"""Names and values of headers."""

_Carrier = dict[str, list[str]]


def pairs_of(
    carrier: CarrierT, getter: Getter[CarrierT], wanted: Iterable[tuple[str, bytes]] | None
) -> Pairs:
    """Return the headers of a carrier: lower-case names and values, the values of a name in order.

    Only the wanted names are read, each as text and as bytes; ``None`` reads all. The getter's ``keys`` are needed
    for names that are not in lower case.
    """
    spelled = {key.lower(): key for key in getter.keys(carrier)}
    if wanted is None:
        wanted = [(name, name.encode("utf-8", "surrogatepass")) for name in spelled]
    return [
        (raw_name, value)
        for name, raw_name in wanted
        for value in _values(getter.get(carrier, spelled.get(name, name)))
    ]


def _values(values: list[str] | str | None) -> Iterator[bytes]:
    """Encode values as UTF-8, so that a character beyond ASCII never becomes an ASCII byte."""
    for value in [values] if isinstance(values, str) else values or ():
        yield value.encode("utf-8", "surrogatepass")


class _ListGetter(Getter[_Carrier]):
    """Reads a dictionary of lists by lower-case name."""

    def get(self, carrier: _Carrier, key: str) -> list[str] | None:
        return carrier.get(key.lower())

    def keys(self, carrier: _Carrier) -> list[str]:
        return list(carrier)


_GETTER = _ListGetter()


class Adapter:
    """A selected propagator with the OpenTelemetry interface. What it raises is logged once."""

    __slots__ = ("_propagator", "fields", "name")

    def __init__(self, name: str, propagator: TextMapPropagator) -> None:
        self.name = name
        self._propagator = propagator
        self.fields = frozenset(field.lower().encode("ascii") for field in propagator.fields)

    def extract(self, headers: Iterable[tuple[bytes, bytes]]) -> tuple[Candidate | None, dict[str, object]]:
        """Return the extracted ids, and everything else that the propagator stored in the context."""
        carrier: _Carrier = {}
        for name, value in headers:
            carrier.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        with guarded(f"reading headers with the propagator {self.name}"):
            context = self._propagator.extract(carrier, Context(), _GETTER)
            extras = {key: value for key, value in context.items() if key != SPAN_KEY}
            return _candidate(get_current_span(context).get_span_context()), extras
        return None, {}

    def inject(
        self, span_context: SpanContext, context: Context, *, internal: bool
    ) -> Sequence[tuple[bytes, bytes]]:
        """Return the injected headers; only known trace headers if the host is not internal."""
        carrier: dict[str, str] = {}
        if span_context.is_valid:
            context = set_span_in_context(NonRecordingSpan(span_context), context)
        with guarded(f"writing headers with the propagator {self.name}"):
            self._propagator.inject(carrier, context)
            items = carrier.items()
            pairs = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in items]
            return pairs if internal else [pair for pair in pairs if pair[0] in TRACE_HEADERS]
        return ()


def _candidate(span_context: SpanContext) -> Candidate | None:
    if not span_context.is_valid:
        return None
    flags = span_context.trace_flags
    return (span_context.trace_id, span_context.span_id, flags & 1 == 1, False, flags & KNOWN_FLAGS)


def load_adapter(name: str) -> Adapter | None:
    """Load the propagator with this lower-case name of the entry points ``opentelemetry_propagator``.

    Return ``None`` if there is no such entry point, or if it does not load. The latter is one warning.
    """
    for entry in entry_points(group="opentelemetry_propagator"):
        if entry.name.lower() == name:
            made = result_or_error(lambda: Adapter(name, entry.load()()))  # noqa: B023 - called now
            if not isinstance(made, Exception):
                return made
            message = "OTEL_PROPAGATORS: %r does not load (%s: %s) and is left out"
            warn_once(f"propagator:{name}", message, name, type(made).__name__, made)
            break
    return None
