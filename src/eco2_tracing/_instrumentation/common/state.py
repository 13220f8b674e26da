"""The state of the instrumentations. The lifecycle sets it; each request and call reads it once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from eco2_tracing._instrumentation.common.excluded import url_of
from eco2_tracing._instrumentation.common.served_request import serve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from eco2_tracing._instrumentation.common.excluded import ExcludedPaths, ExcludedUrls
    from eco2_tracing._instrumentation.common.http_attributes import (
        ASGIApp,
        HeaderCapture,
        Hook,
        ReadScope,
        Receive,
        Request,
        Scope,
        Send,
        Url,
    )
    from eco2_tracing._instrumentation.common.served_request import ServedRequest
    from eco2_tracing._redaction import Redactor
    from eco2_tracing._spans.read_side import SpanSource
    from eco2_tracing._spans.tracer import SpanFactory
    from eco2_tracing.metrics._http import HttpMetrics
    from eco2_tracing.propagation import Inbound, Propagation
    from eco2_tracing.sampling import HeadSampler
    from eco2_tracing.sampling._tail.sampler import TailSampler

    BeginExternal = Callable[
        ["InstrumentationState", Scope, Receive, Send, Context, Inbound | None, Hook | None],
        tuple[ServedRequest, Receive, Context],
    ]
    """Returns the request, the ``receive`` to use, and the context that the application runs in."""
    CallExternal = Callable[["InstrumentationState", Context, Request], "ExternalAttempt"]
    Serve = Callable[[ASGIApp, ServedRequest, Scope, Receive, Context, Context], Awaitable[None]]

SERVER_SCOPE, CLIENT_SCOPE = "eco2_tracing.fastapi", "eco2_tracing.httpx"
"""Names of the instrumentation scopes of server and client spans."""


class ExternalAttempt(Protocol):
    """An attempt of an outgoing call with a span of an external provider."""

    span: Span
    state: InstrumentationState
    local: None
    method: str
    url: Url
    measured_from: int
    measured_span: Span | None

    def restart(self, request: Request) -> None:
        """Restart the span at the inner transport that sends the request."""

    def answered(
        self,
        status_code: int,
        extensions: dict[str, bytes],
        headers: Iterable[tuple[bytes, bytes]] | None,
    ) -> None:
        """Record that the response has begun."""

    def finished(self) -> None:
        """Record that the response has been read or closed."""

    def raised(self, exception: BaseException) -> None:
        """Record that the attempt failed."""


@dataclass(slots=True, eq=False, repr=False)
class Instrumenter:
    """The parts that create server and client spans under our own provider.

    Attributes:
        factory: Generates ids, holds limits and calls ``on_start`` of the application's span processors.
        tail_sampler: Begins local traces and decides whether they are kept.
        head: The head sampler, which may need the name of the operation.
        server: The tracer of server spans.
        client: The tracer of client spans.
        lazy: True if the ids and the local trace of a request that the upstream did not sample are created on demand.
    """

    factory: SpanFactory
    tail_sampler: TailSampler
    head: HeadSampler
    server: SpanSource
    client: SpanSource
    lazy: bool


@dataclass(slots=True, eq=False, repr=False)
class InstrumentationState:
    """The configuration that requests and calls use.

    Attributes:
        propagation: Extracts and injects headers.
        redactor: Masks secrets.
        instrumenter: Creates spans; ``None`` if tracing is disabled or the provider is external.
        begin_external: Begins a request under an external provider; ``None`` if the provider is not external.
        call_external: Begins a call of httpx under an external provider; ``None`` if the provider is not external.
        trust_inbound: True if the upstream is trusted. Responses report to it that its trace was kept.
        response_header: Name of the response header with the trace id, in lower case; ``None`` if not configured.
        server_request_headers: Captures headers of inbound requests.
        server_response_headers: Captures headers of responses to inbound requests.
        client_request_headers: Captures headers of outgoing requests.
        client_response_headers: Captures headers of responses to outgoing requests.
        excluded_paths: From the environment; ``None`` if the argument of ``instrument_app`` is used.
        excluded_words: Bare words of contrib's lists; they are excluded paths, too.
        excluded_urls: contrib's regular expressions.
        excluded_calls: URLs of outgoing calls that get no span.
        startup: Called when a lifespan begins.
        shutdown: Awaited when a lifespan has ended.
        has_reported: True if another instrumentation of httpx has been reported.
        external_hosts: External hosts that calls were sent to with trace context, in order of appearance.
        metrics: Measures requests and calls; ``None`` while metrics are off.
        serve: Serves a request that is traced; measures it while metrics are on.
        excludes_more: True if there are ``excluded_words`` or ``excluded_urls``.
        reads_responses: True if successful responses must be inspected.
        read: Cached `Propagation.extract_headers`.
    """

    propagation: Propagation
    redactor: Redactor
    instrumenter: Instrumenter | None = None
    begin_external: BeginExternal | None = None
    call_external: CallExternal | None = None
    trust_inbound: bool = True
    response_header: bytes | None = None
    server_request_headers: HeaderCapture | None = None
    server_response_headers: HeaderCapture | None = None
    client_request_headers: HeaderCapture | None = None
    client_response_headers: HeaderCapture | None = None
    excluded_paths: ExcludedPaths | None = None
    excluded_words: ExcludedPaths | None = None
    excluded_urls: ExcludedUrls | None = None
    excluded_calls: ExcludedUrls | None = None
    startup: Callable[[], None] | None = None
    shutdown: Callable[[], Awaitable[None]] | None = None
    has_reported: bool = False
    external_hosts: dict[str, None] = field(default_factory=dict)
    metrics: HttpMetrics | None = None
    serve: Serve = serve
    excludes_more: bool = field(init=False)
    reads_responses: bool = field(init=False)
    read: Callable[[Iterable[tuple[bytes, bytes]]], Inbound | None] = field(init=False)

    def __post_init__(self) -> None:
        self.excludes_more = (self.excluded_words or self.excluded_urls) is not None
        self.reads_responses = (self.response_header or self.server_response_headers) is not None
        self.read = self.propagation.extract_headers


class Current:
    """The one global of the instrumentations.

    Attributes:
        state: The configuration in force; ``None`` before ``configure_tracing``.
        calls: True if httpx is instrumented.
        configured: True if ``configure_tracing`` has been called, even if it failed.
        rows: True if the spans of queries record the number of returned rows.
        sizes: True if spans record the sizes of HTTP bodies and of messages.
    """

    __slots__ = ("calls", "configured", "rows", "sizes", "state")

    def __init__(self) -> None:
        self.state: InstrumentationState | None = None
        self.calls = False
        self.configured = False
        self.rows = self.sizes = False


current = Current()


def is_excluded(state: InstrumentationState, excluded: ExcludedPaths, scope: ReadScope) -> bool:
    """Return whether a request is excluded by its path or URL."""
    root_path = scope.get("root_path", "")
    path = scope["path"]
    if excluded(path, root_path):
        return True
    if state.excluded_words is not None and state.excluded_words(path, root_path):
        return True
    return state.excluded_urls is not None and bool(state.excluded_urls(url_of(scope)))
