"""The arguments of ``configure_tracing``, as they can be used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from eco2_tracing._settings import (
    Problem,
    names_argument,
    report_arguments,
    shown_argument,
    text_argument,
    unusable,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import SpanProcessor

    from eco2_tracing._settings import TracingSettings

_FUNCTION = "configure_tracing"
_EXAMPLES = {"service_name": "auth-api", "service_version": "1.2.0", "environment": "prod"}
_ATTRIBUTES = 'a mapping of names and values, such as {"team": "payments"}'
_PROCESSORS = "a list of span processors, such as [BatchSpanProcessor(exporter)]"


class Arguments(NamedTuple):
    """What ``configure_tracing`` was called with."""

    service_name: str | None
    service_version: str | None
    environment: str | None
    settings: TracingSettings | None
    resource_attributes: Mapping[str, Any] | None
    span_processors: Sequence[SpanProcessor]


def accepted(*values: Any) -> tuple[Arguments, list[Problem]]:
    """Return the arguments without what cannot be used, and what is wrong with it.

    Args:
        values: Any objects, in the order of `Arguments`; a wrong ``settings`` stays.
    """
    given = Arguments(*values)
    texts = [text_argument(_FUNCTION, name, getattr(given, name), _EXAMPLES[name]) for name in _EXAMPLES]
    attributes, bad_attributes = _attributes(given.resource_attributes)
    processors, bad_processors = _processors(given.span_processors)
    name, version, environment = (text for text, _ in texts)
    problems = [*(problem for _, problem in texts), bad_attributes, bad_processors]
    used = Arguments(name, version, environment, given.settings, attributes, processors)
    return used, [problem for problem in problems if problem is not None]


def _attributes(value: Any) -> tuple[dict[str, Any] | None, Problem | None]:
    if value is None:
        return None, None
    found: dict[str, Any] = {}
    wrong = not issubclass(type(value), Mapping)
    try:
        for key, each in () if wrong else value.items():
            if issubclass(type(key), str) and key:
                found[str.__str__(key)] = each
            else:
                wrong = True
    except BaseException:  # noqa: BLE001 - the object is the application's
        wrong = True
    if not wrong:
        return found, None
    used = f"{', '.join(found)} alone" if found else "nothing"
    return found or None, unusable(_FUNCTION, "resource_attributes", value, _ATTRIBUTES, used)


def _processors(value: Any) -> tuple[tuple[Any, ...], Problem | None]:
    if value is None:
        return (), None
    if _is_processor(value):
        problem = unusable(_FUNCTION, "span_processors", value, _PROCESSORS, "it alone", advisory=True)
        return (value,), problem
    found: list[Any] = []
    try:
        found.extend(value if issubclass(type(value), Iterable) else [value])
    except BaseException:  # noqa: BLE001 - the object is the application's
        found.append(value)
    usable = tuple(each for each in found if _is_processor(each))
    if len(usable) == len(found):
        return usable, None
    takes = _PROCESSORS
    if any(callable(getattr(type(each), "export", None)) for each in found):
        takes += "; an exporter is put into a processor"
    used = ", ".join(map(shown_argument, usable)) or "nothing"
    return usable, unusable(_FUNCTION, "span_processors", value, takes, used)


def _is_processor(value: Any) -> bool:
    """Return whether an object sees the ends of spans; a class of processors does not."""
    try:
        return not isinstance(value, type) and callable(getattr(value, "on_end", None))
    except BaseException:  # noqa: BLE001 - the object is the application's
        return False


def path_names(value: object, *, strict: bool) -> tuple[str, ...] | None:
    """Return the ``excluded_paths`` of ``instrument_app``; ``None`` for the default.

    Args:
        value: Any object; what cannot be used of it is reported.
        strict: Whether that raises.

    Raises:
        ConfigurationError: In strict mode.
    """
    takes = "paths, such as ['/internal', 'health']"
    found, wrong = names_argument("instrument_app", "excluded_paths", value, takes, "the default paths")
    report_arguments(wrong, strict=strict)
    return found


def library_names(value: object) -> tuple[str, ...] | None:
    """Return the ``names`` of ``instrument_libraries``; ``None`` for the tested list.

    Args:
        value: Any object; what cannot be used of it is reported.
    """
    takes = "names of instrumentations, such as ['redis']"
    found, wrong = names_argument("instrument_libraries", "names", value, takes, "the tested list")
    report_arguments(wrong)
    return found
