"""Other propagators, by the names that their packages register."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import entry_points

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter, TextMapPropagator
from opentelemetry.trace import NonRecordingSpan, SpanContext, get_current_span, set_span_in_context

from eco2_tracing._guard import internal_failure, warn_once

from ._ids import KNOWN_FLAGS, Candidate
from ._inbound import SPAN_KEY
from ._names import TRACE_HEADERS

Pairs = Sequence[tuple[bytes, bytes]]
Carrier = dict[str, list[str]]


class _ListGetter(Getter[Carrier]):
    """Reads a dict of lists, by lower-case name."""

    def get(self, carrier: Carrier, key: str) -> list[str] | None:
        return carrier.get(key.lower())

    def keys(self, carrier: Carrier) -> list[str]:
        return list(carrier)


_GETTER = _ListGetter()


class Adapter:
    """One propagator with the OpenTelemetry interface.

    Args:
        name: The name that it was listed by.
        propagator: What the entry point gave.
    """

    __slots__ = ("_propagator", "fields", "name")

    def __init__(self, name: str, propagator: TextMapPropagator) -> None:
        self.name = name
        self._propagator = propagator
        self.fields = frozenset(field.lower().encode("ascii") for field in propagator.fields)

    def read(self, headers: Iterable[tuple[bytes, bytes]]) -> tuple[Candidate | None, dict[str, object]]:
        """Extract; what it raises is logged once and counts as nothing found.

        Returns:
            The ids, and what else it put into the context.
        """
        carrier: Carrier = {}
        for name, value in headers:
            carrier.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        try:
            context = self._propagator.extract(carrier, Context(), _GETTER)
            extras = {key: value for key, value in context.items() if key != SPAN_KEY}
            return _candidate(get_current_span(context).get_span_context()), extras
        except Exception:  # noqa: BLE001 - somebody else's code
            internal_failure(f"reading headers with the propagator {self.name}")
            return None, {}

    def write(self, span_context: SpanContext, context: Context, *, own: bool) -> Pairs:
        """Inject; only headers of trace context go to hosts that are not our own."""
        carrier: dict[str, str] = {}
        if span_context.is_valid:
            context = set_span_in_context(NonRecordingSpan(span_context), context)
        try:
            self._propagator.inject(carrier, context)
            pairs = [
                (name.lower().encode("ascii"), value.encode("latin-1")) for name, value in carrier.items()
            ]
        except Exception:  # noqa: BLE001 - somebody else's code
            internal_failure(f"writing headers with the propagator {self.name}")
            return []
        return pairs if own else [pair for pair in pairs if pair[0] in TRACE_HEADERS]


def _candidate(span_context: SpanContext) -> Candidate | None:
    """Give what was read in the form that the built-in readers give."""
    if not span_context.is_valid:
        return None
    flags = span_context.trace_flags
    random = flags & KNOWN_FLAGS
    return (span_context.trace_id, span_context.span_id, flags & 1 == 1, False, random)


def load_adapter(name: str) -> Adapter | None:
    """Load the propagator that an installed package registers.

    Args:
        name: Its entry point in the group ``opentelemetry_propagator``, in any case.

    Returns:
        The adapter; ``None`` where there is none by that name, or where it does not load,
        which is one warning.
    """
    for entry in entry_points(group="opentelemetry_propagator"):
        if entry.name.lower() == name:
            try:
                return Adapter(name, entry.load()())
            except Exception as error:  # noqa: BLE001 - somebody else's code
                warn_once(
                    f"propagator:{name}",
                    "OTEL_PROPAGATORS: %r does not load (%s: %s) and is left out",
                    name,
                    type(error).__name__,
                    error,
                )
                return None
    return None
