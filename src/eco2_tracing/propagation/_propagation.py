"""The propagator that `OTEL_PROPAGATORS` selects, as one object."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from opentelemetry.context import Context, get_current
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)

from eco2_tracing._guard import guarded
from eco2_tracing._settings import InternalHosts

from ._adapters import Adapter, Pairs, load_adapter, pairs_of
from ._calls import LONGEST_HOST, LibraryCalls
from ._extract import Extractor, Format
from ._formats import (
    B3,
    B3_FLAGS,
    B3_SAMPLED,
    B3_SPAN_ID,
    B3_TRACE_ID,
    BAGGAGE,
    REQUEST_ID,
    TRACEPARENT,
    TRACESTATE,
    extract_b3_multi,
    extract_b3_single,
    extract_traceparent,
)
from ._inbound import Inbound, context_of
from ._inject import Injector

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

# The B3 specification prefers the single header. Envoy's Zipkin tracer writes X-B3-* and forwards the b3 header of a
# client without changes: the single header is the stale one.
_B3_FORMATS: tuple[Format, ...] = (extract_b3_multi, extract_b3_single)
_FORMATS: dict[str, tuple[Format, ...]] = {
    "b3": _B3_FORMATS,
    "tracecontext": (extract_traceparent,),
    "baggage": (),
    "none": (),
}
_EXTRACTED: dict[str, tuple[bytes, ...]] = {
    "b3": (B3, B3_TRACE_ID, B3_SPAN_ID, B3_SAMPLED, B3_FLAGS),
    "tracecontext": (TRACEPARENT, TRACESTATE),
}
_INJECTED: dict[str, tuple[bytes, ...]] = {
    "b3": (B3_TRACE_ID, B3_SPAN_ID, B3_SAMPLED, B3_FLAGS),
    "tracecontext": (TRACEPARENT, TRACESTATE),
    "baggage": (BAGGAGE,),
}
_CACHED_HOSTS = 1024


class Propagation(TextMapPropagator):
    """Extracts and injects trace context. The first valid context is used, in the order of the names.

    `extract_headers` and `inject_headers` take header pairs of bytes. `extract` and `inject` are the methods of an
    OpenTelemetry propagator. The formats are those of the B3, W3C Trace Context and W3C Baggage specifications.

    Args:
        names: The propagators of ``OTEL_PROPAGATORS``, in any case: ``b3``, ``b3multi``, ``tracecontext``,
            ``baggage``, ``none``, or the name of an installed propagator. Unknown names are left out.
        targets: Internal hosts beside the default ones: ``host``, ``*.suffix``, ``.suffix``.
        propagate_externally: True to send trace context, and nothing else, to external hosts.
        trust_inbound: False if callers are not trusted. Their ids become a link, and the rest is ignored.

    Attributes:
        names: The propagators in use, in order. ``b3multi`` is the same as ``b3``.
        trace_headers: ``TRACE_HEADERS`` and the headers of the other propagators in use.
        sends_externally: True if external hosts receive trace context.
        extractor: Extracts from header pairs. `extract_headers` calls it.
        injector: Injects into header pairs. `inject_headers` and `reinject_headers` call it.
        calls: Injects into the calls of other libraries.
        external_hosts: External hosts that received trace context, in order of appearance; at most a hundred.
        replaced_headers: The lower-case names of headers that `reinject_headers` may remove; ``None`` for all.

    Examples:
        >>> propagation = Propagation(["b3", "tracecontext"], targets=["*.corp.example"])
        >>> inbound = propagation.extract_headers(
        ...     [(b"b3", b"463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1")]
        ... )
        >>> inbound.sampled, f"{inbound.trace_id:032x}"
        (True, '463ac35c9f6413ad48485a3953bb6124')
        >>> (
        ...     propagation.is_internal_host("billing.corp.example"),
        ...     propagation.is_internal_host("api.stripe.com"),
        ... )
        (True, False)
    """

    def __init__(
        self,
        names: Sequence[str] = ("b3", "tracecontext", "baggage"),
        *,
        targets: Sequence[str] = (),
        propagate_externally: bool = True,
        trust_inbound: bool = True,
    ) -> None:
        parts = {name: part for name in _normalized(names) if (part := _part(name)) is not None}
        adapters = [part for part in parts.values() if isinstance(part, Adapter)]
        order: list[Format | Adapter] = []
        for part in parts.values():
            order.extend([part] if isinstance(part, Adapter) else part)
        active = bool(parts.keys() - {"none"})
        always = {BAGGAGE, REQUEST_ID} if active else set()
        wanted = frozenset(always).union(*(_EXTRACTED.get(name, ()) for name in parts))
        injected = {header for name in parts for header in _INJECTED.get(name, ())}
        injected.update([REQUEST_ID] if active else (), *(adapter.fields for adapter in adapters))
        self.names = tuple(parts)
        self._wanted = None if adapters else [(name.decode("ascii"), name) for name in wanted]
        self._fields = {header.decode("ascii") for header in injected}
        self.extractor = Extractor(order, wanted, baggage="baggage" in parts, trust=trust_inbound)
        self.injector = Injector(
            b3="b3" in parts,
            w3c="tracecontext" in parts,
            baggage="baggage" in parts,
            request_id=active,
            adapters=adapters,
            externally=propagate_externally,
        )
        self.trace_headers = self.injector.removed
        self.sends_externally = propagate_externally
        replaced = self.trace_headers | {BAGGAGE, REQUEST_ID}
        self.replaced_headers: frozenset[bytes] | None = None if adapters else replaced
        self._is_internal = lru_cache(maxsize=_CACHED_HOSTS)(InternalHosts(targets).includes)
        self.calls = LibraryCalls(self.injector, self.is_internal_host)
        self.external_hosts: dict[str, None] = self.calls.external_hosts

    def extract_headers(self, headers: Iterable[tuple[bytes, bytes]]) -> Inbound | None:
        """Extract from the headers of a request. Never raises.

        Args:
            headers: The pairs of an ASGI scope, with names in lower case.

        Returns:
            The extracted context; ``None`` if there is none.
        """
        return self.extractor.extract(headers)

    def context(self, inbound: Inbound, base: Context | None = None, *, excluded: bool = False) -> Context:
        """Return a context whose current span is the caller's, a remote one.

        Args:
            inbound: The result of `extract_headers`.
            base: The context to add to; empty by default.
            excluded: True if the request is excluded from tracing: the caller's context is propagated unsampled.
        """
        return context_of(inbound.unsampled() if excluded else inbound, base)

    def inject_headers(self, span_context: SpanContext, context: Context, *, internal: bool) -> Pairs:
        """Return the headers to inject into a call, with names in lower case.

        Args:
            span_context: The client span. No ids are injected for an invalid one.
            context: The context of the call.
            internal: True for an internal host, see `is_internal_host`.
        """
        return self.injector.inject(span_context, context, internal)

    def reinject_headers(
        self,
        headers: Iterable[tuple[bytes, bytes]],
        span_context: SpanContext,
        context: Context,
        *,
        internal: bool,
    ) -> Pairs:
        """Return all headers of an attempt, with the trace headers that it has replaced by ours.

        Every known trace header is removed. An ``x-request-id`` is removed if it was inherited from the inbound
        request, and kept if the application set it. ``baggage`` that was set on the call is merged with the baggage of
        the context.

        Args:
            headers: The headers of the attempt, names in any case.
            span_context: As for `inject_headers`.
            context: As for `inject_headers`.
            internal: As for `inject_headers`.
        """
        return self.injector.reinject(headers, span_context, context, internal)

    # The former names.

    read = extract_headers

    def write(self, span_context: SpanContext, context: Context, *, own: bool) -> Pairs:
        """Return the result of `inject_headers`."""
        return self.inject_headers(span_context, context, internal=own)

    def rewrite(
        self,
        headers: Iterable[tuple[bytes, bytes]],
        span_context: SpanContext,
        context: Context,
        *,
        own: bool,
    ) -> Pairs:
        """Return the result of `reinject_headers`."""
        return self.reinject_headers(headers, span_context, context, internal=own)

    def is_internal_host(self, host: str) -> bool:
        """Return True for an internal host, by its name alone.

        Internal are loopback and private addresses, names without a dot, ``*.svc``, ``*.svc.*``, ``*.cluster.local``
        and the targets.

        Args:
            host: A name or an address, without a port.
        """
        return len(host) <= LONGEST_HOST and self._is_internal(host)

    is_own_host = is_internal_host

    def extract(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        getter: Getter[CarrierT] = default_getter,
    ) -> Context:
        """Extract through the OpenTelemetry interface: `extract_headers` and `context`. Never raises.

        Args:
            carrier: The carrier of the headers.
            context: The context to add to; empty by default.
            getter: Reads the carrier.

        Returns:
            The new context; the given one if there is nothing to extract.
        """
        base = Context() if context is None else context
        with guarded("reading a carrier of trace context"):
            inbound = self.extractor.extract(pairs_of(carrier, getter, self._wanted))
            return base if inbound is None else context_of(inbound, base)
        return base

    def inject(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        setter: Setter[CarrierT] = default_setter,
    ) -> None:
        """Inject through the OpenTelemetry interface, as `reinject_headers` does. Never raises.

        The host is that of the client span, if there is one. Otherwise the host counts as internal, and no header is
        removed.

        Args:
            carrier: The carrier of the headers.
            context: The context to inject; the current one by default.
            setter: Writes to the carrier.
        """
        with guarded("writing the headers of a call"):
            self.calls.inject(carrier, get_current() if context is None else context, setter)

    @property
    def fields(self) -> set[str]:
        """The lower-case names that `inject` may write."""
        return set(self._fields)


def _normalized(names: Sequence[str]) -> list[str]:
    """Return the names in lower case and once; ``b3multi`` becomes ``b3``, which extracts both forms."""
    lower = (name.strip().lower() for name in names)
    return list(dict.fromkeys("b3" if name == "b3multi" else name for name in lower))


def _part(name: str) -> tuple[Format, ...] | Adapter | None:
    return _FORMATS[name] if name in _FORMATS else load_adapter(name)
