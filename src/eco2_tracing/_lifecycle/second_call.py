"""A second ``configure_tracing``: what it asks for and does not get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from eco2_tracing._settings import shown

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

    from eco2_tracing._settings import TracingSettings


class Arguments(NamedTuple):
    """What ``configure_tracing`` was called with."""

    service_name: str | None
    service_version: str | None
    environment: str | None
    settings: TracingSettings | None
    resource_attributes: Mapping[str, Any] | None
    span_processors: Sequence[SpanProcessor]


def differences(first: Arguments, second: Arguments) -> list[str]:
    """Describe the arguments of a second call that differ from those in force; what it leaves out does not.

    Args:
        first: The call that configured tracing.
        second: The later call.
    """
    found = []
    for name in Arguments._fields:
        before, after = getattr(first, name), getattr(second, name)
        if after is None or (name == "span_processors" and not after) or _same(before, after):
            continue
        found.append(_described(name, before, after))
    return found


def _same(before: object, after: object) -> bool:
    if isinstance(after, Sequence) and not isinstance(after, str):
        return isinstance(before, Sequence) and list(before) == list(after)
    return before == after


def _described(name: str, before: Any, after: Any) -> str:
    if isinstance(after, str):
        instead = "" if before is None else f" instead of {shown(name, str(before))!r}"
        return f"{name}={shown(name, after)!r}{instead}"
    if name == "settings" and type(before) is type(after):
        differing = [key for key in type(after).model_fields if getattr(before, key) != getattr(after, key)]
        return f"settings ({', '.join(key for key in differing if key != 'otlp')})"
    if name == "resource_attributes" and isinstance(after, Mapping):
        before = before if isinstance(before, Mapping) else {}
        return f"{name} ({', '.join(str(key) for key in after if before.get(key) != after[key])})"
    return name
