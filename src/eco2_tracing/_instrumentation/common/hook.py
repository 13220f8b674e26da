"""Calls the application's ``server_request_hook``; its failures do not reach the request."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from eco2_tracing._guard import internal_failure, warn_once

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from eco2_tracing._instrumentation.common.asgi import Hook, Scope

NOT_AWAITED = "is not awaited: pass a plain function, not an async one"


def call_hook(hook: Hook, span: Span, scope: Scope) -> None:
    """Call a hook. A coroutine that it returns is reported and not awaited.

    Args:
        hook: The ``server_request_hook``.
        span: The server span.
        scope: The ASGI scope.
    """
    try:
        returned: object = hook(span, scope)  # type: ignore[func-returns-value] # an async hook returns a coroutine
        if inspect.iscoroutine(returned):
            returned.close()
            warn_once("server_request_hook:async", "server_request_hook %s", NOT_AWAITED)
    except Exception as exception:  # noqa: BLE001 - the hook may raise anything; the request continues
        internal_failure("the server_request_hook")
        span.record_exception(exception)
