"""The types of ASGI (https://asgi.readthedocs.io/en/stable/specs/main.html), for annotations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from opentelemetry.trace import Span

Scope = dict[str, Any]
ReadScope = Mapping[str, Any]
"""A scope that is not changed."""
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Hook = Callable[[Span, Scope], None]
"""The application's ``server_request_hook``."""
