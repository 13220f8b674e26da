"""Checks the arguments of the public functions. What cannot be used is reported and left out."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from eco2_tracing._guard import attempt_silently, warn_once
from eco2_tracing._settings import (
    OF_SIGNALS,
    Problem,
    names_argument,
    report_arguments,
    shown,
    shown_argument,
    text_argument,
    unusable,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import SpanProcessor

    from eco2_tracing._settings import TracingSettings
    from eco2_tracing._spans.pipeline import BeforeExport


_FUNCTION = "configure_tracing"
_EXAMPLES = {"service_name": "auth-api", "service_version": "1.2.0", "environment": "prod"}
_ATTRIBUTES = 'a mapping of names and values, such as {"team": "payments"}'
_FUNCTION_OF_A_SPAN = "a plain function of a span, not an async one"
_PROCESSORS = "a list of span processors, such as [BatchSpanProcessor(exporter)]"


class Arguments(NamedTuple):
    """The arguments of ``configure_tracing``."""

    service_name: str | None
    service_version: str | None
    environment: str | None
    settings: TracingSettings | None
    resource_attributes: Mapping[str, Any] | None
    span_processors: Sequence[SpanProcessor]
    before_export: BeforeExport | None


def checked_arguments(*values: Any) -> tuple[Arguments, list[Problem]]:
    """Return the usable ones of any objects, in the order of `Arguments`, and the problems of the others.

    ``settings`` are not checked.
    """
    given = Arguments(*values)
    texts = [text_argument(_FUNCTION, name, getattr(given, name), _EXAMPLES[name]) for name in _EXAMPLES]
    attributes, bad_attributes = _attributes(given.resource_attributes)
    processors, bad_processors = _processors(given.span_processors)
    function, bad_function = _before_export(given.before_export)
    name, version, environment = (text for text, _ in texts)
    problems = [*(problem for _, problem in texts), bad_attributes, bad_processors, bad_function]
    used = Arguments(name, version, environment, given.settings, attributes, processors, function)
    return used, [problem for problem in problems if problem is not None]


def _attributes(value: object) -> tuple[dict[str, Any] | None, Problem | None]:
    if value is None:
        return None, None
    items: list[tuple[object, Any]] = []

    def read() -> bool:
        if not issubclass(type(value), Mapping):
            return False
        items.extend(value.items())  # type: ignore[attr-defined]  # a mapping; what precedes an error is kept
        return True

    complete = attempt_silently(read, default=False)
    found = {str.__str__(key): each for key, each in items if isinstance(key, str) and key}
    if complete and len(found) == len(items):
        return found, None
    used = f"{', '.join(found)} alone" if found else "nothing"
    return found or None, unusable(_FUNCTION, "resource_attributes", value, _ATTRIBUTES, used)


def _processors(value: object) -> tuple[tuple[Any, ...], Problem | None]:
    if value is None:
        return (), None
    if _is_processor(value):
        problem = unusable(_FUNCTION, "span_processors", value, _PROCESSORS, "it alone", advisory=True)
        return (value,), problem
    found: list[Any] = []

    def read() -> bool:
        found.extend(value)  # type: ignore[arg-type]  # it may not be iterable
        return True

    if not attempt_silently(read, default=False):
        found.append(value)
    usable = tuple(each for each in found if _is_processor(each))
    if len(usable) == len(found):
        return usable, None
    expected = _PROCESSORS
    if any(callable(getattr(type(each), "export", None)) for each in found):
        expected += "; an exporter is put into a processor"
    used = ", ".join(map(shown_argument, usable)) or "nothing"
    return usable, unusable(_FUNCTION, "span_processors", value, expected, used)


def _before_export(value: object) -> tuple[BeforeExport | None, Problem | None]:
    if value is None:
        return None, None
    is_async = inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(type(value).__call__)
    if callable(value) and not is_async and not isinstance(value, type):
        return value, None
    return None, unusable(_FUNCTION, "before_export", value, _FUNCTION_OF_A_SPAN, "nothing")


def _is_processor(value: object) -> bool:
    """Return whether an object has ``on_end``. A class is not a processor."""
    return attempt_silently(
        lambda: not isinstance(value, type) and callable(getattr(value, "on_end", None)), default=False
    )


def path_names(value: object, *, strict: bool) -> tuple[str, ...] | None:
    """Return the usable ``excluded_paths`` of ``instrument_app``; ``None`` for the default.

    Unusable parts are reported; in strict mode they are a `ConfigurationError`.
    """
    expected = "paths, such as ['/internal', 'health']"
    found, wrong = names_argument("instrument_app", "excluded_paths", value, expected, "the default paths")
    report_arguments(wrong, strict=strict)
    return found


def library_names(value: object) -> tuple[str, ...] | None:
    """Return the usable ``names`` of ``instrument_libraries``; ``None`` for the tested list. Report the others."""
    expected = "names of instrumentations, such as ['redis']"
    found, wrong = names_argument("instrument_libraries", "names", value, expected, "the tested list")
    report_arguments(wrong)
    return found


def report_again(first: Arguments | None, second: Arguments) -> None:
    """Log one WARNING that names the arguments of a second call that differ. Omitted arguments do not differ."""
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
        # General variables of OTLP fill the fields of each signal, too.
        derived = (*OF_SIGNALS, "otlp")
        return f"settings ({', '.join(key for key in differing if not key.startswith(derived))})"
    if isinstance(after, str):
        instead = "" if before is None else f" instead of {shown(name, str(before))!r}"
        return f"{name}={shown(name, after)!r}{instead}"
    if name == "resource_attributes":
        differing = [key for key in after if not _same((before or {}).get(key), after[key])]
        return f"{name} ({', '.join(differing)})"
    return name
