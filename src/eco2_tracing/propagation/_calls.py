"""Calls of other libraries: an instrumentation injects into a call's headers, and says not to whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from opentelemetry.context import get_current
from opentelemetry.trace import SpanKind, get_current_span

from ._names import BAGGAGE

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.propagators.textmap import CarrierT, Setter
    from opentelemetry.trace import Span, SpanContext

    from ._writing import Writer

Pairs = list[tuple[bytes, bytes]]
_URLS = ("url.full", "http.url")
_HOSTS = ("server.address", "net.peer.name")
_EXTERNAL_HOSTS_LIMIT = 100
LONGEST_HOST = 255  # of any that there can be


class Changes(NamedTuple):
    """How the headers of an attempt must change.

    Attributes:
        gone: The lower-case names of those to take off.
        added: Those to put on.
        ours: Those that are ours, when that is done; baggage of the call may be part of one.
        replaced: The baggage of the call itself.
    """

    gone: set[bytes]
    added: Pairs
    ours: Pairs
    replaced: Pairs


class Calls:
    """Writes the headers of calls that are not ours to make.

    Args:
        writer: Writes headers.
        is_internal_host: Tells whether a host is our own.
    """

    __slots__ = ("_is_internal_host", "_writer", "external_hosts")

    def __init__(self, writer: Writer, is_internal_host: Callable[[str], bool]) -> None:
        self._writer = writer
        self._is_internal_host = is_internal_host
        self.external_hosts: dict[str, None] = {}

    def inject(self, carrier: CarrierT, context: Context, setter: Setter[CarrierT]) -> None:
        """Write to a carrier: what its callee may have where the span tells it, else everything."""
        span = get_current_span(context)
        host = host_called(span)
        span_context = span.get_span_context()
        own = host is None or self._is_own(host, span_context)
        if isinstance(carrier, MutableMapping):
            given = self._ours_among(carrier.items())
            gone, added = _difference(given, self._writer.rewrite(given, span_context, context, own))
            if _has_other_baggage(carrier):
                gone, added = gone - {BAGGAGE}, [pair for pair in added if pair[0] != BAGGAGE]
            if host is None:  # only what is written anew is taken off, in whatever case it stands there
                gone &= {pair[0] for pair in added if pair[0] == BAGGAGE}
            replace(carrier, setter, gone, added)
            return
        for name, value in self._writer.write(span_context, context, own):
            setter.set(carrier, name.decode("ascii"), value.decode("latin-1"))

    def changes(
        self,
        headers: Iterable[tuple[Any, Any]],
        host: str,
        left_over: Pairs | None = None,
        replaced: Pairs | None = None,
        *,
        traced: bool = False,
    ) -> Changes:
        """Tell how an attempt's headers must change before they go out.

        What ``inject`` did not write to is left alone: such a call is not traced, or is somebody's own business. It
        may have written nothing, where a stranger is told nothing: that call is known to be traced by its span.

        Args:
            headers: Those that the attempt has, text or bytes, names in any case.
            host: Whom it goes to.
            left_over: What the same request was given at an earlier attempt, perhaps inside of another inbound
                request.
            replaced: What that attempt replaced.
            traced: Whether the current span is that of this call.
        """
        context = get_current()
        span_context = get_current_span(context).get_span_context()
        given = self._ours_among(headers)
        ours = self._writer.write(span_context, context, own=True)
        if not traced and not _holds_any(given, ours):
            return Changes(set(), [], [], [])
        own = self._is_own(host, span_context)
        kept = without(given, left_over, replaced or []) if left_over else given
        wanted = self._writer.rewrite(kept, span_context, context, own)
        set_here = self._writer.own_baggage(kept, context)
        sent = [pair for pair in wanted if pair in ours or (pair[0] == BAGGAGE and pair not in set_here)]
        return Changes(*_difference(given, wanted), sent, set_here)

    def may_inject(self, host: str) -> bool:
        """Tell whether a host gets trace context from the current span, where others write it in their own format."""
        return self._is_own(host, get_current_span().get_span_context()) or self._writer.externally

    def combined_baggage(self, values: Iterable[bytes]) -> bytes:
        """Combine several ``baggage`` headers of the current attempt into the value of one."""
        return self._writer.combined_baggage(values, get_current())

    def _ours_among(self, headers: Iterable[tuple[Any, Any]]) -> Pairs:
        """Give the headers that may be ours, their names in lower case; a message's other ones may hold anything."""
        found: Pairs = []
        for name, value in headers:
            key = lower_name(name)
            if self._writer.may_replace(key):
                raw = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
                found.append((key, raw))
        return found

    def _is_own(self, host: str, span_context: SpanContext) -> bool:
        """Tell whether a callee is our own; remember one that is not and gets trace context."""
        own = self._is_internal_host(host)
        if not own and span_context.is_valid and self._writer.externally:
            note_external(self.external_hosts, host)
        return own


def note_external(hosts: dict[str, None], host: str) -> None:
    """Remember a host that gets trace context alone.

    Args:
        hosts: Those so far, in order of appearance.
        host: One that is not our own.
    """
    if len(hosts) < _EXTERNAL_HOSTS_LIMIT and len(host) <= LONGEST_HOST:
        hosts[host] = None


def host_called(span: Span) -> str | None:
    """Tell whom a call is for, by what its instrumentation put on the span that it began.

    Args:
        span: The current span.

    Returns:
        The host; ``None`` where this is no call, or does not say.
    """
    if getattr(span, "kind", None) is not SpanKind.CLIENT:
        return None
    attributes: Any = getattr(span, "attributes", None) or {}
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
    """Give a URL's host, where it is told: contrib's of urllib3 writes IPv6 addresses without brackets."""
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    return None if address.count(":") > 1 and address[0] != "[" else parts.hostname


def without(headers: Pairs, ours: Pairs, replaced: Pairs) -> Pairs:
    """Return the headers of a request as they were before an earlier attempt.

    Args:
        headers: Those that it has now.
        ours: Those that the attempt added.
        replaced: The baggage that one of those replaced.
    """
    gone = [pair for pair in headers if pair in ours]
    kept = [pair for pair in headers if pair not in ours]
    return kept + replaced if any(pair[0].lower() == BAGGAGE for pair in gone) else kept


def _has_other_baggage(carrier: MutableMapping[Any, Any]) -> bool:
    """Return whether the application's baggage is in a form of its own, as in attributes of AWS's messages."""
    return any(lower_name(name) == BAGGAGE and not isinstance(carrier[name], str | bytes) for name in carrier)


def _holds_any(given: Pairs, ours: Pairs) -> bool:
    """Return whether any of our headers is among those given; baggage may be part of a longer header."""
    for pair in ours:
        if pair in given:
            return True
        if pair[0] == BAGGAGE:
            members = {part for name, value in given if name == BAGGAGE for part in value.split(b",")}
            if members.issuperset(pair[1].split(b",")):
                return True
    return False


def _difference(given: Pairs, wanted: Pairs) -> tuple[set[bytes], Pairs]:
    """Tell which names go and what is put on, in lower case; a header that stays is not touched."""
    before, after = _values(given), _values(wanted)
    gone = {name for name, values in before.items() if after.get(name) != values}
    return gone, [pair for pair in wanted if pair[0] in gone or pair[0] not in before]


def _values(pairs: Pairs) -> dict[bytes, list[bytes]]:
    values: dict[bytes, list[bytes]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


def replace(carrier: CarrierT, setter: Setter[CarrierT], gone: set[bytes], added: Pairs) -> None:
    """Change a call's headers.

    Args:
        carrier: Its headers, a mapping.
        setter: Writes to it.
        gone: The lower-case names to take off.
        added: What to put on.
    """
    headers: Any = carrier
    if gone:
        for name in [name for name in headers if lower_name(name) in gone]:
            headers.pop(name, None)
    for raw_name, value in added:
        setter.set(carrier, raw_name.decode("latin-1"), value.decode("latin-1"))


def lower_name(name: object) -> bytes:
    """Give a header's name, text or bytes, as it is compared; nothing for what is no name."""
    raw = name.encode("utf-8", "surrogatepass") if isinstance(name, str) else name
    return raw.lower() if isinstance(raw, bytes) else b""
