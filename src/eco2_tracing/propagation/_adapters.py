"""Propagators of other packages, by the names of their entry points."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import entry_points

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter, TextMapPropagator
from opentelemetry.trace import NonRecordingSpan, SpanContext, get_current_span, set_span_in_context

from eco2_tracing._guard import guarded, warn_once

from ._ids import KNOWN_FLAGS, Candidate
from ._inbound import SPAN_KEY
from ._names import TRACE_HEADERS

_Carrier = dict[str, list[str]]


class _ListGetter(Getter[_Carrier]):
    """Reads a dictionary of lists by lower-case name."""

    def get(self, carrier: _Carrier, key: str) -> list[str] | None:
        return carrier.get(key.lower())

    def keys(self, carrier: _Carrier) -> list[str]:
        return list(carrier)


_GETTER = _ListGetter()


class Adapter:
    """A propagator with the OpenTelemetry interface. What it raises is logged once.

    Args:
        name: The name by which it was selected.
        propagator: The propagator.
    """

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
    """Load the propagator that an installed package registers.

    Args:
        name: The name of its entry point in the group ``opentelemetry_propagator``, in lower case.

    Returns:
        The adapter; ``None`` if there is no such entry point, or if it does not load. The latter is one warning.
    """
    for entry in entry_points(group="opentelemetry_propagator"):
        if entry.name.lower() == name:
            try:
                return Adapter(name, entry.load()())
            except Exception as error:  # noqa: BLE001 - loading runs the code of another package
                message = "OTEL_PROPAGATORS: %r does not load (%s: %s) and is left out"
                warn_once(f"propagator:{name}", message, name, type(error).__name__, error)
                return None
    return None
