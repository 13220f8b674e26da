"""Whether somebody asked for no instrumentation in this context."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.context import _SUPPRESS_HTTP_INSTRUMENTATION_KEY, _SUPPRESS_INSTRUMENTATION_KEY

if TYPE_CHECKING:
    from opentelemetry.context import Context


def is_suppressed(context: Context) -> bool:
    """Tell whether contrib's ``suppress_instrumentation`` or its HTTP twin is in force."""
    return bool(context.get(_SUPPRESS_INSTRUMENTATION_KEY) or context.get(_SUPPRESS_HTTP_INSTRUMENTATION_KEY))
