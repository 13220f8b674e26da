"""What the instrumentations work with: set by the lifecycle, read once a request or call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer

    from eco2_tracing._instrumentation.common.captured_headers import HeaderCapture
    from eco2_tracing._instrumentation.common.excluded import ExcludedPaths, ExcludedUrls
    from eco2_tracing._redaction import Redactor
    from eco2_tracing._spans.read_side import SpanSource
    from eco2_tracing.propagation import Inbound, Propagation
    from eco2_tracing.sampling import HeadSampler
    from eco2_tracing.sampling._tail.sampler import TailSampler


@dataclass(slots=True, eq=False, repr=False)
class Recording:
    """What making lean spans takes; absent where no spans are made.

    Attributes:
        tail_sampler: Begins and decides local traces.
        head: The head sampler, which may need the name of the operation.
        server: Shared by all server spans.
        client: Shared by all client spans.
        new_trace_id: The provider's generator.
        new_span_id: The provider's generator.
        random_flag: W3C level 2's random flag for new trace ids, 2 or 0.
        lazily: Whether what the caller did not choose may do without a context and a local trace until
            something asks for them.
        on_start: Tells the application's span processors of a span's beginning; ``None`` without any.
    """

    tail_sampler: TailSampler
    head: HeadSampler
    server: SpanSource
    client: SpanSource
    new_trace_id: Callable[[], int]
    new_span_id: Callable[[], int]
    random_flag: int
    lazily: bool
    on_start: Callable[[Any, Context | None], None] | None


@dataclass(slots=True, eq=False, repr=False)
class InstrumentationState:
    """One configuration, as the request path needs it.

    Attributes:
        propagation: Reads and writes headers.
        redactor: Masks secrets.
        recording: How spans are made; ``None`` when tracing is disabled or another provider is in charge.
        tracer: The tracer of another provider that is in charge, for requests; ``None`` otherwise.
        call_tracer: The same, for calls of httpx.
        trust_inbound: Whether callers are told that their trace was kept.
        response_header: Name of the response header with the trace id, in lower case.
        server_request_headers: Captured from requests that come in.
        server_response_headers: Captured from the responses to them.
        client_request_headers: Captured from requests that go out.
        client_response_headers: Captured from the responses to them.
        excluded_paths: From the environment; ``None`` where the application's argument counts.
        excluded_words: Bare words of contrib's lists, which add to the excluded paths.
        excluded_urls: contrib's regular expressions.
        excluded_calls: URLs of outgoing calls that get no span.
        startup: Called when a lifespan begins.
        shutdown: Awaited when a lifespan has ended.
        excludes_more: Whether there are such words or expressions.
        reads_responses: Whether a good response matters: to one of the two above.
        has_reported: Whether somebody who wanted to make client spans, too, has been told that we do.
        read: The propagation's own, one look-up nearer.
        external_hosts: Hosts that got trace context alone, in order of appearance.
    """

    propagation: Propagation
    redactor: Redactor
    recording: Recording | None = None
    tracer: Tracer | None = None
    call_tracer: Tracer | None = None
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
    excludes_more: bool = field(init=False)
    reads_responses: bool = field(init=False)
    read: Callable[[Iterable[tuple[bytes, bytes]]], Inbound | None] = field(init=False)

    def __post_init__(self) -> None:
        self.excludes_more = (self.excluded_words or self.excluded_urls) is not None
        self.reads_responses = (self.response_header or self.server_response_headers) is not None
        self.read = self.propagation.read


class Current:
    """The one global of the instrumentations.

    Attributes:
        engine: The configuration in force; ``None`` before ``configure_tracing``.
        calls: Whether httpx calls are instrumented.
        configured: Whether ``configure_tracing`` has been called, whatever became of it.
    """

    __slots__ = ("calls", "configured", "engine")

    def __init__(self) -> None:
        self.engine: InstrumentationState | None = None
        self.calls = False
        self.configured = False


current = Current()
