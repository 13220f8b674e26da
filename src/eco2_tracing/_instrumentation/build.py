"""From the settings to what the instrumentations work with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eco2_tracing._ids import OwnRandomIds
from eco2_tracing._instrumentation.common.captured_headers import HeaderCapture
from eco2_tracing._instrumentation.common.excluded import ExcludedPaths, ExcludedUrls, split_urls
from eco2_tracing._instrumentation.common.state import InstrumentationState, Recording

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.context import Context

    from eco2_tracing._redaction import Redactor
    from eco2_tracing._settings import Settings
    from eco2_tracing._spans.provider import TracerProvider
    from eco2_tracing.propagation import Propagation
    from eco2_tracing.sampling import HeadSampler
    from eco2_tracing.sampling._tail.sampler import TailSampler

SCHEMA_URL = "https://opentelemetry.io/schemas/1.40.0"
"""Of the stable HTTP conventions that the lean spans follow."""


def engine(settings: Settings, propagation: Propagation, redactor: Redactor) -> InstrumentationState:
    """Make the engine, without recording.

    Args:
        settings: The settings in force.
        propagation: Reads and writes headers.
        redactor: Masks secrets.
    """
    words, regexes = split_urls(settings.excluded_urls)
    capture = _Capture(settings.http_capture_headers_sanitize_fields, redactor)
    paths = settings.excluded_paths
    return InstrumentationState(
        propagation=propagation,
        redactor=redactor,
        trust_inbound=settings.trust_inbound,
        external_hosts=propagation.external_hosts,
        response_header=settings.response_header.lower().encode("latin-1")
        if settings.response_header
        else None,
        server_request_headers=capture("request", settings.http_capture_headers_server_request),
        server_response_headers=capture("response", settings.http_capture_headers_server_response),
        client_request_headers=capture("request", settings.http_capture_headers_client_request),
        client_response_headers=capture("response", settings.http_capture_headers_client_response),
        excluded_paths=ExcludedPaths(paths) if paths is not None else None,
        excluded_words=ExcludedPaths(words) if words else None,
        excluded_urls=ExcludedUrls(regexes) if regexes else None,
        excluded_calls=ExcludedUrls(settings.httpx_excluded_urls) if settings.httpx_excluded_urls else None,
    )


class _Capture:
    def __init__(self, sanitized: Sequence[str], redactor: Redactor) -> None:
        self._sanitized = sanitized
        self._redactor = redactor

    def __call__(self, direction: str, names: Sequence[str]) -> HeaderCapture | None:
        if not names:
            return None
        return HeaderCapture(f"http.{direction}.header.", names, self._sanitized, self._redactor)


def recording(
    provider: TracerProvider,
    tail_sampler: TailSampler,
    head: HeadSampler,
    on_start: Callable[[Any, Context | None], None] | None,
) -> Recording:
    """Make what lean spans need of a provider.

    Args:
        provider: Ours.
        tail_sampler: Begins and decides local traces.
        head: The head sampler.
        on_start: Tells the application's processors.
    """
    generator = provider.id_generator
    is_random: Callable[[], bool] = getattr(generator, "is_trace_id_random", lambda: False)
    return Recording(
        tail_sampler=tail_sampler,
        head=head,
        server=provider.get_tracer("eco2_tracing.fastapi", schema_url=SCHEMA_URL),
        client=provider.get_tracer("eco2_tracing.httpx", schema_url=SCHEMA_URL),
        new_trace_id=generator.generate_trace_id,
        new_span_id=generator.generate_span_id,
        random_flag=2 if is_random() else 0,
        # Another generator may raise, or count on being asked once a request.
        lazily=tail_sampler.follows and type(generator) is OwnRandomIds,
        on_start=on_start,
    )
