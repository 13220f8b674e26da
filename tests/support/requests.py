"""Requests without a server: what the middleware does for the log fields of a request."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter_ns
from typing import Any

from eco2_tracing.logs._request import RequestState, RequestToken, current_request, enter_request


def begin_request(scope: Mapping[str, Any] | None = None) -> RequestToken:
    """Begin a request.

    Args:
        scope: The ASGI scope. With it, access lines get `user_agent.original` and `event.duration`.

    Returns:
        The token for `end_request`.
    """
    request = RequestState()
    if scope is not None:
        request.scope = scope
        request.started = perf_counter_ns()
    return enter_request(request)


def end_request(token: RequestToken) -> None:
    """End a request, also in another context than that of `begin_request`."""
    try:
        current_request.reset(token)
    except ValueError:
        current_request.set(None)
