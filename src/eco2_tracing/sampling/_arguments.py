"""``OTEL_TRACES_SAMPLER_ARG``: the values used from it, and the problems found in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from eco2_tracing._settings.probable import probable_milliseconds, probable_rate

if TYPE_CHECKING:
    from eco2_tracing.sampling._remote.fetch import Endpoint

ARG = "OTEL_TRACES_SAMPLER_ARG"
DEFAULT_ENDPOINT = "http://localhost:5778/sampling"
_KEYS = {key.lower(): key for key in ("endpoint", "pollingIntervalMs", "initialSamplingRate")}


@dataclass(eq=False, repr=False)
class SamplerArguments:
    """The arguments of `build_sampler`, with the problems found so far."""

    kind: str
    arg: str | None
    workers: int
    service_name: str | None
    clock: Callable[[], float]
    problems: list[str] = field(default_factory=list)


class Expected(NamedTuple):
    """A number that a sampler expects as its argument.

    Attributes:
        what: The number in words.
        accept: Returns True for a valid number.
        meant: Returns the number that a text probably means, or ``None``.
        default: The value if the argument is not set.
        fallback: The value if the argument is set and its meaning is unknown.
        required: True if an argument that is not set is a problem.
    """

    what: str
    accept: Callable[[float], bool]
    meant: Callable[[str], float | None]
    default: float
    fallback: float
    required: bool = False


def number(given: SamplerArguments, expected: Expected) -> float:
    """Return the argument as a number; another value is used with a problem if it is not valid."""
    what, default = expected.what, expected.default
    if given.arg is None:
        if expected.required:
            given.problems.append(f"{ARG} is not set, {what} is expected: {default:g} is used")
        return default
    value = _float(given.arg)
    if expected.accept(value):
        return value
    meant = expected.meant(given.arg)
    used = expected.fallback if meant is None else meant
    probably = "" if meant is None else f", {meant:.10g} was probably meant"
    given.problems.append(f"{ARG}={given.arg!r} is not {what}{probably}: {used:.10g} is used")
    return used


def pairs(given: SamplerArguments) -> dict[str, str]:
    """Return the ``key=value`` list of ``jaeger_remote``, with keys in the specification's spelling."""
    found: dict[str, str] = {}
    for part in (given.arg or "").split(","):
        key, _, value = (piece.strip() for piece in part.partition("="))
        if key.lower() in _KEYS and value:
            found[_KEYS[key.lower()]] = value
        elif part.strip():
            given.problems.append(
                f"{ARG}: {part.strip()!r} is none of endpoint=…, pollingIntervalMs=…, "
                "initialSamplingRate=…: it is left out"
            )
    return found


def option(
    given: SamplerArguments, values: dict[str, str], key: str, default: float, least: float, most: float
) -> float:
    """Return one number of the list; the default, with a problem unless it is missing, if it is not valid."""
    if key not in values:
        return default
    value = _float(values[key])
    if least <= value <= most:
        return value
    meant = (probable_milliseconds if key.endswith("Ms") else probable_rate)(values[key])
    probably, used = "", default
    if meant is not None and least <= meant <= most:
        probably, used = f", {meant:.10g} was probably meant", meant
    given.problems.append(
        f"{ARG}: {key}={values[key]!r} is not a number from {least:g} to {most:g}{probably}: {used:g} is used"
    )
    return used


def endpoint_of(given: SamplerArguments, text: str) -> Endpoint:
    """Return the Jaeger server's endpoint; the default, with a problem, if the text is no URL."""
    from eco2_tracing.sampling._remote.fetch import parse_endpoint

    try:
        return parse_endpoint(text)
    except ValueError as error:
        given.problems.append(f"{ARG}: endpoint: {error}: {DEFAULT_ENDPOINT} is used")
        return parse_endpoint(DEFAULT_ENDPOINT)


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
