"""The propagator: what ``OTEL_PROPAGATORS`` lists, as one object."""

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

from eco2_tracing._guard import internal_failure
from eco2_tracing._settings import OwnHosts

from . import _names
from ._adapters import Adapter, load_adapter
from ._b3 import read_multi, read_single
from ._calls import LONGEST_HOST, Calls
from ._carrier import pairs_of
from ._inbound import Inbound, context_of
from ._reading import Form, Reader
from ._traceparent import read_traceparent
from ._writing import Writer

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

# X-B3-* before b3, where the specification has it the other way round: Envoy's Zipkin tracer
# writes X-B3-* and forwards a client's b3 untouched, so that the single header is the stale one.
_B3_FORMS: tuple[Form, ...] = (read_multi, read_single)
_FORMS: dict[str, tuple[Form, ...]] = {
    "b3": _B3_FORMS,
    "b3multi": _B3_FORMS,
    "tracecontext": (read_traceparent,),
    "baggage": (),
    "none": (),
}
_READ: dict[str, tuple[bytes, ...]] = {
    "b3": (
        _names.B3,
        _names.B3_TRACE_ID,
        _names.B3_SPAN_ID,
        _names.B3_SAMPLED,
        _names.B3_FLAGS,
    ),
    "tracecontext": (_names.TRACEPARENT, _names.TRACESTATE),
}
_WRITTEN: dict[str, tuple[bytes, ...]] = {
    "b3": (_names.B3_TRACE_ID, _names.B3_SPAN_ID, _names.B3_SAMPLED, _names.B3_FLAGS),
    "tracecontext": (_names.TRACEPARENT, _names.TRACESTATE),
    "baggage": (_names.BAGGAGE,),
}
_HOSTS_REMEMBERED = 1024


class Propagation(TextMapPropagator):
    """Reads and writes trace context: first valid wins, in the order listed.

    Args:
        names: What ``OTEL_PROPAGATORS`` lists, in any case: ``b3``, ``b3multi``,
            ``tracecontext``, ``baggage``, ``none``, or the name of any installed propagator.
            Unknown names are left out.
        targets: Hosts that are our own beside the usual ones: ``host``, ``*.suffix``, ``.suffix``.
        propagate_externally: Whether other hosts get trace context (and never more than that).
        trust_inbound: Whether callers are believed. If not, their ids become a link.
    """

    def __init__(
        self,
        names: Sequence[str] = ("b3", "tracecontext", "baggage"),
        *,
        targets: Sequence[str] = (),
        propagate_externally: bool = True,
        trust_inbound: bool = True,
    ) -> None:
        parts = {name: part for name in _normal(names) if (part := _part(name)) is not None}
        adapters = [part for part in parts.values() if isinstance(part, Adapter)]
        order: list[Form | Adapter] = []
        for part in parts.values():
            order.extend([part] if isinstance(part, Adapter) else part)
        active = bool(parts.keys() - {"none"})
        always = {_names.BAGGAGE, _names.REQUEST_ID} if active else set()
        wanted = frozenset(always).union(*(_READ.get(name, ()) for name in parts))
        written = {header for name in parts for header in _WRITTEN.get(name, ())}
        self._names = tuple(parts)
        self._wanted = None if adapters else wanted
        self._fields = {
            header.decode("ascii")
            for header in written.union(
                [_names.REQUEST_ID] if active else (), *(adapter.fields for adapter in adapters)
            )
        }
        self._reader = Reader(order, wanted, "baggage" in parts, trust_inbound)
        self._writer = Writer(
            b3="b3" in parts,
            w3c="tracecontext" in parts,
            baggage="baggage" in parts,
            request_id=active,
            adapters=adapters,
            externally=propagate_externally,
        )
        replaced = self._writer.stripped | {_names.BAGGAGE, _names.REQUEST_ID}
        self.replaced_headers: frozenset[bytes] | None = None if adapters else replaced
        """The lower-case names that ``rewrite`` may take off; ``None`` where it must see every name."""
        self._is_own = lru_cache(maxsize=_HOSTS_REMEMBERED)(OwnHosts(targets).includes)
        self.calls = Calls(self._writer, self.is_internal_host)
        """Calls of libraries that inject by themselves."""
        self.external_hosts: dict[str, None] = self.calls.external_hosts
        """Hosts that got trace context alone, in order of appearance; at most a hundred."""

    @property
    def names(self) -> tuple[str, ...]:
        """The propagators in use, in order; ``b3multi`` reads and writes as ``b3`` does."""
        return self._names

    @property
    def trace_headers(self) -> frozenset[bytes]:
        """``TRACE_HEADERS`` and those of the other propagators in use."""
        return self._writer.stripped

    @property
    def sends_externally(self) -> bool:
        """Whether hosts that are not our own get the trace context."""
        return self._writer.externally

    def read(self, headers: Iterable[tuple[bytes, bytes]]) -> Inbound | None:
        """Read the headers of a request. Never raises.

        Args:
            headers: Pairs as ASGI gives them, the names in lower case.

        Returns:
            What they said, or ``None`` where that is nothing.
        """
        return self._reader.read(headers)

    def context(self, inbound: Inbound, base: Context | None = None, *, excluded: bool = False) -> Context:
        """Put what the headers said into a context.

        Args:
            inbound: What ``read`` gave.
            base: What the context is built on; empty unless given.
            excluded: Whether the request is excluded from tracing: the caller's context goes
                on, unsampled.

        Returns:
            A context whose current span is the caller's, a remote one.
        """
        return context_of(inbound.unsampled() if excluded else inbound, base)

    def write(self, span_context: SpanContext, context: Context, *, own: bool) -> list[tuple[bytes, bytes]]:
        """Format the headers for a call.

        Args:
            span_context: The span that calls; one that is not valid sends no ids.
            context: The context that the call is made in.
            own: Whether the callee is our own, as ``is_internal_host`` tells.

        Returns:
            Header pairs, the names in lower case.
        """
        return self._writer.write(span_context, context, own)

    def rewrite(
        self,
        headers: Iterable[tuple[bytes, bytes]],
        span_context: SpanContext,
        context: Context,
        *,
        own: bool,
    ) -> list[tuple[bytes, bytes]]:
        """Replace the trace headers of a call by ours.

        Every known trace header goes, whoever put it there. An ``x-request-id`` goes where it is
        the one that the request inherited; one that the application set stays. ``baggage`` that was
        set on the call is merged with the baggage of the context: see ``merge_baggage``.

        Args:
            headers: The pairs that the attempt came with, names in any case.
            span_context: As for ``write``.
            context: As for ``write``.
            own: As for ``write``.

        Returns:
            All header pairs of the attempt.
        """
        return self._writer.rewrite(headers, span_context, context, own)

    def own_baggage(
        self, headers: Iterable[tuple[bytes, bytes]], context: Context
    ) -> list[tuple[bytes, bytes]]:
        """Return the baggage that was set on a call, without what was copied into it.

        Args:
            headers: The pairs that the attempt came with, names in any case.
            context: As for ``write``.

        Returns:
            One pair, or none.
        """
        return self._writer.own_baggage(headers, context)

    def is_internal_host(self, host: str) -> bool:
        """Tell whether a host is our own, from its name alone.

        Args:
            host: A name or an address, without a port.

        Returns:
            True for loopback and private literals, dotless names, ``*.svc``, ``*.svc.*``,
            ``*.cluster.local`` and the targets.
        """
        return len(host) <= LONGEST_HOST and self._is_own(host)

    is_own_host = is_internal_host
    """The former name of `is_internal_host`."""

    def extract(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        getter: Getter[CarrierT] = default_getter,
    ) -> Context:
        """Do what ``read`` and ``context`` do, through the OpenTelemetry interface.

        Args:
            carrier: Where the headers are.
            context: What the result is built on; empty unless given.
            getter: Reads the carrier.

        Returns:
            The new context, or the one given where the carrier says nothing.
        """
        base = Context() if context is None else context
        try:
            inbound = self.read(pairs_of(carrier, getter, self._wanted))
        except Exception:  # noqa: BLE001 - a carrier and its getter are somebody else's
            internal_failure("reading a carrier of trace context")
            return base
        return base if inbound is None else context_of(inbound, base)

    def inject(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        setter: Setter[CarrierT] = default_setter,
    ) -> None:
        """Do what ``rewrite`` does for the call of a library, through the OpenTelemetry interface.

        A carrier does not tell for whom it is. The span does, where it is that of a call; without
        one the callee is taken for our own, and nothing is taken off.

        Args:
            carrier: Where the headers go.
            context: The context that is sent; the current one unless given.
            setter: Writes to the carrier.
        """
        try:
            self.calls.inject(carrier, get_current() if context is None else context, setter)
        except Exception:  # noqa: BLE001 - a carrier and its setter are somebody else's
            internal_failure("writing the headers of a call")

    @property
    def fields(self) -> set[str]:
        """The lower-case names that ``inject`` may write."""
        return set(self._fields)


def _normal(names: Sequence[str]) -> list[str]:
    """Spell names one way; ``b3multi`` is ``b3`` here, which reads both forms as well."""
    lower = (name.strip().lower() for name in names)
    return list(dict.fromkeys("b3" if name == "b3multi" else name for name in lower))


def _part(name: str) -> tuple[Form, ...] | Adapter | None:
    """Find what a name stands for."""
    return _FORMS[name] if name in _FORMS else load_adapter(name)
