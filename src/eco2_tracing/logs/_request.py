"""Fields of the current request or task."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from time import perf_counter_ns
from typing import Any


class Request:
    """What one request's lines share, also those of its threads and tasks.

    Attributes:
        fields: What was bound, or ``None``; changed in place within a request.
        scope: The ASGI scope, where the middleware gave it.
        started: `perf_counter_ns` at the begin, 0 without a scope.
        revision: Counts the changes of the fields.
        written: The fields as the formatter wrote them: with which redactor, of which revision.
    """

    __slots__ = ("fields", "is_request", "revision", "scope", "started", "written")

    def __init__(self, fields: dict[str, object] | None, *, is_request: bool) -> None:
        self.fields = fields
        self.is_request = is_request
        self.revision = 0
        self.written: tuple[object, int, str] | None = None
        self.scope: Mapping[str, Any] | None = None
        self.started = 0


current: ContextVar[Request | None] = ContextVar("eco2_tracing_log_fields", default=None)

RequestToken = Token[Request | None]


def begin_request(scope: Mapping[str, Any] | None = None) -> RequestToken:
    """Begin a request: what is bound from here on stays with it, wherever it is bound.

    A thread or task started within it shares the fields, so that what a dependency or a
    synchronous endpoint binds in the thread pool reaches the access line too.

    Args:
        scope: The ASGI scope. With it, access lines get `user_agent.original` and `event.duration`.

    Returns:
        What `end_request` takes.
    """
    request = Request(None, is_request=True)
    if scope is not None:
        request.scope = scope
        request.started = perf_counter_ns()
    return current.set(request)


def end_request(token: RequestToken) -> None:
    """End a request; what outlives it keeps its fields.

    Args:
        token: What `begin_request` returned.
    """
    try:
        current.reset(token)
    except ValueError:  # ended in another context than it began in, as a closed generator is
        current.set(None)


def bind_log_fields(**fields: object) -> None:
    """Put fields on every later line of the current request, or else of the current task or thread.

    `user_id` becomes `user.id`, dotted names stay as they are, other names go to `labels`. A line's
    own `extra` wins over them, and ``None`` takes a field off. Secrets are masked by name and by what they look like.

    Args:
        fields: By name; dotted ones as ``bind_log_fields(**{"order.id": 7})``.
    """
    request = current.get()
    if request is not None and request.is_request:
        if request.fields is None:
            request.fields = fields
        else:
            request.fields.update(fields)
        request.revision += 1
        return
    # Outside a request the context alone is meant: tasks started before must not see it.
    bound = dict(request.fields) if request is not None and request.fields else {}
    bound.update(fields)
    current.set(Request(bound, is_request=False))
