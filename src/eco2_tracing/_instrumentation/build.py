"""Builds the state of the instrumentations from the settings."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from eco2_tracing._instrumentation.common.excluded import ExcludedPaths, ExcludedUrls, split_urls
from eco2_tracing._instrumentation.common.http_attributes import HeaderCapture
from eco2_tracing._instrumentation.common.state import (
    CLIENT_SCOPE,
    SERVER_SCOPE,
    InstrumentationState,
    Instrumenter,
)
from eco2_tracing._instrumentation.external.provider import begin_external, call_external
from eco2_tracing._spans.provider import OwnRandomIds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.trace import TracerProvider as Provider

    from eco2_tracing._redaction import Redactor
    from eco2_tracing._settings import Settings
    from eco2_tracing._spans.provider import TracerProvider
    from eco2_tracing.propagation import Propagation
    from eco2_tracing.sampling import HeadSampler
    from eco2_tracing.sampling._tail.sampler import TailSampler

SCHEMA_URL = "https://opentelemetry.io/schemas/1.40.0"
"""The schema of the stable HTTP conventions that server and client spans follow."""


def build_state(settings: Settings, propagation: Propagation, redactor: Redactor) -> InstrumentationState:
    """Return the state of the instrumentations, without the parts that create spans."""
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


def build_instrumenter(
    provider: TracerProvider, tail_sampler: TailSampler, head: HeadSampler
) -> Instrumenter:
    """Return the parts that create server and client spans."""
    return Instrumenter(
        factory=provider.factory,
        tail_sampler=tail_sampler,
        head=head,
        server=provider.get_tracer(SERVER_SCOPE, schema_url=SCHEMA_URL),
        client=provider.get_tracer(CLIENT_SCOPE, schema_url=SCHEMA_URL),
        # A custom generator may raise, or rely on one call a request.
        lazy=tail_sampler.follows and type(provider.id_generator) is OwnRandomIds,
    )


def use_external(state: InstrumentationState, provider: Provider) -> None:
    """Set the state to trace requests and calls with an external provider."""
    state.begin_external = partial(begin_external, provider.get_tracer(SERVER_SCOPE))
    state.call_external = partial(call_external, provider.get_tracer(CLIENT_SCOPE))
