"""Compares the arguments of a second ``configure_tracing`` with those of the first."""

from __future__ import annotations

from typing import Any

from eco2_tracing._guard import attempt_silently, warn_once
from eco2_tracing._lifecycle.arguments import Arguments
from eco2_tracing._settings import shown


def report_again(first: Arguments | None, second: Arguments) -> None:
    """Log one WARNING that names the arguments of a second call that differ. Omitted arguments do not differ.

    Args:
        first: The arguments in force.
        second: Those of the later call.
    """
    found = [
        _described(name, before, after)
        for name, before, after in zip(Arguments._fields, first or (), second, strict=False)
        if after is not None and not _same(after, ()) and not _same(before, after)
    ]
    if found:
        warn_once(
            "configure_tracing:again",
            "configure_tracing was called again with other arguments, which are not used: %s; "
            "the first call stays in force, shutdown_tracing() undoes it",
            ", ".join(found),
        )


def _same(before: object, after: object) -> bool:
    return attempt_silently(lambda: bool(before == after), default=False)


def _described(name: str, before: Any, after: Any) -> str:
    if name == "settings":
        if type(before) is not type(after):
            return name
        differing = [key for key in type(after).model_fields if getattr(before, key) != getattr(after, key)]
        return f"settings ({', '.join(key for key in differing if key != 'otlp')})"
    if isinstance(after, str):
        instead = "" if before is None else f" instead of {shown(name, str(before))!r}"
        return f"{name}={shown(name, after)!r}{instead}"
    if name == "resource_attributes":
        differing = [key for key in after if not _same((before or {}).get(key), after[key])]
        return f"{name} ({', '.join(differing)})"
    return name
