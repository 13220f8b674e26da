"""Headers of calls by other libraries: their instrumentations inject without passing the host."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import urlsplit

from opentelemetry.context import get_current
from opentelemetry.trace import SpanKind, get_current_span

from ._baggage import combine_baggage
from ._formats import BAGGAGE
from ._inject import inherited_baggage

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.propagators.textmap import CarrierT, Setter
    from opentelemetry.trace import Span, SpanContext

    from ._adapters import Pairs
    from ._inject import Injector

_URLS = ("url.full", "http.url")
_HOSTS = ("server.address", "net.peer.name")
_EXTERNAL_HOSTS_LIMIT = 100
LONGEST_HOST = 255  # no valid name is longer


class HeaderChanges(NamedTuple):
    """Changes to the headers of an attempt: lower-case names to remove, and headers to add.

    ``injected`` are the injected headers of the attempt after the change; a baggage header may have explicit members,
    too. ``replaced`` is the explicit baggage of the attempt.
    """

    removed: set[bytes]
    added: Pairs
    injected: Pairs
    replaced: Pairs


@dataclass(slots=True, eq=False, repr=False)
class LibraryCalls:
    """Injects into calls whose instrumentation is not ours.

    ``external_hosts`` are those that received trace context, in order of appearance.
    """

    _injector: Injector
    _is_internal_host: Callable[[str], bool]
    external_hosts: dict[str, None] = field(default_factory=dict)

    def inject(self, carrier: CarrierT, context: Context, setter: Setter[CarrierT]) -> None:
        """Inject into a carrier. The span tells the host; without one, the host counts as internal."""
        span = get_current_span(context)
        host = host_called(span)
        span_context = span.get_span_context()
        internal = host is None or self._is_internal(host, span_context)
        if not isinstance(carrier, MutableMapping) or not (given := self._replaceable(carrier.items())):
            replace(carrier, setter, set(), self._injector.inject(span_context, context, internal))
            return
        wanted = self._injector.reinject(given, span_context, context, internal)
        removed, added = _difference(given, wanted)
        if _has_other_baggage(carrier):
            removed, added = removed - {BAGGAGE}, [pair for pair in added if pair[0] != BAGGAGE]
        if host is None:  # remove only what is written again, whatever its case
            removed &= {pair[0] for pair in added if pair[0] == BAGGAGE}
        replace(carrier, setter, removed, added)

    def changes(
        self,
        headers: Iterable[tuple[object, object]],
        host: str,
        former: Pairs | None = None,
        replaced: Pairs | None = None,
        *,
        traced: bool = False,
    ) -> HeaderChanges:
        """Return the changes to make to an attempt's headers, text or bytes, before it is sent to a host.

        There are none for an attempt without injected headers: it is not traced, or the application injects.
        For an external host `inject` may have written nothing; ``traced`` is true if the current span is that
        of this call. ``former`` are the headers that were injected into an earlier attempt of the same request,
        perhaps in the context of another inbound request, and ``replaced`` is the explicit baggage of that attempt.
        """
        context = get_current()
        span_context = get_current_span(context).get_span_context()
        given = self._replaceable(headers)
        injected = self._injector.inject(span_context, context, internal=True)
        if not traced and not _holds_any(given, injected):
            return HeaderChanges(set(), [], [], [])
        internal = self._is_internal(host, span_context)
        kept = without(given, former, replaced or []) if former else given
        wanted = self._injector.reinject(kept, span_context, context, internal)
        explicit = self._injector.explicit_baggage(kept, context)
        sent = [pair for pair in wanted if pair in injected or (pair[0] == BAGGAGE and pair not in explicit)]
        return HeaderChanges(*_difference(given, wanted), sent, explicit)

    def may_inject(self, host: str) -> bool:
        """Return True if a call to this host may carry the context of the current span, in any format."""
        return self._is_internal(host, get_current_span().get_span_context()) or self._injector.externally

    def combined_baggage(self, values: Iterable[bytes]) -> bytes:
        """Combine several ``baggage`` headers of the current attempt into the value of one."""
        return combine_baggage(values, inherited_baggage(get_current()))

    def _replaceable(self, headers: Iterable[tuple[object, object]]) -> Pairs:
        """Return the headers that `Injector.reinject` may remove, with names in lower case."""
        found: Pairs = []
        for name, value in headers:
            key = lower_name(name)
            if self._injector.may_remove(key):
                raw = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
                found.append((key, raw))
        return found

    def _is_internal(self, host: str, span_context: SpanContext) -> bool:
        """Return True for an internal host; record an external one that receives trace context."""
        internal = self._is_internal_host(host)
        if not internal and span_context.is_valid and self._injector.externally:
            note_external(self.external_hosts, host)
        return internal


def note_external(hosts: dict[str, None], host: str) -> None:
    """Record an external host that receives trace context; at most a hundred are recorded."""
    if len(hosts) < _EXTERNAL_HOSTS_LIMIT and len(host) <= LONGEST_HOST:
        hosts[host] = None


def host_called(span: Span) -> str | None:
    """Return the host in the attributes of a client span; ``None`` for other spans, and without such an attribute."""
    attributes = getattr(span, "attributes", None)
    if getattr(span, "kind", None) is not SpanKind.CLIENT or not isinstance(attributes, Mapping):
        return None
    for name in _URLS:
        url = attributes.get(name)
        if isinstance(url, str) and (host := _host_in(url)):
            return host
    for name in _HOSTS:
        host = attributes.get(name)
        if isinstance(host, str) and host:
            return host
    return None


def _host_in(url: str) -> str | None:
    """Return the host of a URL; ``None`` for an IPv6 address without brackets, as contrib's urllib3 writes it."""
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    return None if address.count(":") > 1 and address[0] != "[" else parts.hostname


def without(headers: Pairs, injected: Pairs, replaced: Pairs) -> Pairs:
    """Return the headers of a request as they were before an attempt that injected headers and replaced baggage."""
    removed = [pair for pair in headers if pair in injected]
    kept = [pair for pair in headers if pair not in injected]
    return kept + replaced if any(pair[0].lower() == BAGGAGE for pair in removed) else kept


def _has_other_baggage(carrier: MutableMapping[object, object]) -> bool:
    """Return True if baggage is not text, as in the attributes of AWS messages."""
    return any(lower_name(name) == BAGGAGE and not isinstance(carrier[name], str | bytes) for name in carrier)


def _holds_any(given: Pairs, injected: Pairs) -> bool:
    """Return True if one of the injected headers is among those given; baggage may be part of a longer header."""
    for pair in injected:
        if pair in given:
            return True
        if pair[0] == BAGGAGE:
            members = {part for name, value in given if name == BAGGAGE for part in value.split(b",")}
            if members.issuperset(pair[1].split(b",")):
                return True
    return False


def _difference(given: Pairs, wanted: Pairs) -> tuple[set[bytes], Pairs]:
    """Return the names to remove and the headers to add, without headers that do not change."""
    before, after = _values(given), _values(wanted)
    removed = {name for name, values in before.items() if after.get(name) != values}
    return removed, [pair for pair in wanted if pair[0] in removed or pair[0] not in before]


def _values(pairs: Pairs) -> dict[bytes, list[bytes]]:
    values: dict[bytes, list[bytes]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


def replace(carrier: CarrierT, setter: Setter[CarrierT], removed: set[bytes], added: Pairs) -> None:
    """Remove headers from a mutable mapping, by their lower-case names, and add others."""
    if removed:
        headers = cast("MutableMapping[object, object]", carrier)
        for name in [name for name in headers if lower_name(name) in removed]:
            headers.pop(name, None)
    for raw_name, value in added:
        setter.set(carrier, raw_name.decode("latin-1"), value.decode("latin-1"))


def lower_name(name: object) -> bytes:
    """Return a header's name in lower-case bytes; empty if it is neither text nor bytes."""
    raw = name.encode("utf-8", "surrogatepass") if isinstance(name, str) else name
    return raw.lower() if isinstance(raw, bytes) else b""
