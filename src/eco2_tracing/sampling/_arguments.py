"""The argument of a sampler, ``OTEL_TRACES_SAMPLER_ARG``: what can be used of it, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from eco2_tracing._settings.probable import probable_milliseconds, probable_rate

if TYPE_CHECKING:
    from eco2_tracing.sampling._remote.fetch import Endpoint

ARG = "OTEL_TRACES_SAMPLER_ARG"
DEFAULT_ENDPOINT = "http://localhost:5778/sampling"


@dataclass(eq=False, repr=False)
class Request:
    """What a sampler is made from; problems are gathered on the way."""

    kind: str
    arg: str | None
    workers: int
    service_name: str | None
    clock: Callable[[], float]
    problems: list[str] = field(default_factory=list)


class Expected(NamedTuple):
    """What the argument of a sampler has to be.

    Attributes:
        what: In words.
        accept: Whether a number can be used.
        meant: Finds the number that a text probably means.
        default: Used where the argument is not set.
        fallback: Used where the argument is set and its meaning cannot be found out.
        required: Whether an argument that is not set is a problem.
    """

    what: str
    accept: Callable[[float], bool]
    meant: Callable[[str], float | None]
    default: float
    fallback: float
    required: bool = False


def number(request: Request, expected: Expected) -> float:
    """Return the argument as a number, or what is used in its place, with a problem."""
    what, default = expected.what, expected.default
    if request.arg is None:
        if expected.required:
            request.problems.append(f"{ARG} is not set, {what} is expected: {default:g} is used")
        return default
    value = _float(request.arg)
    if expected.accept(value):
        return value
    meant = expected.meant(request.arg)
    used = expected.fallback if meant is None else meant
    probably = "" if meant is None else f", {meant:.10g} was probably meant"
    request.problems.append(f"{ARG}={request.arg!r} is not {what}{probably}: {used:.10g} is used")
    return used


def pairs(request: Request) -> dict[str, str]:
    """The ``key=value`` list of ``jaeger_remote``; keys in the specification's spelling."""
    known = {key.lower(): key for key in ("endpoint", "pollingIntervalMs", "initialSamplingRate")}
    found: dict[str, str] = {}
    for part in (request.arg or "").split(","):
        key, _, value = (piece.strip() for piece in part.partition("="))
        if key.lower() in known and value:
            found[known[key.lower()]] = value
        elif part.strip():
            request.problems.append(
                f"{ARG}: {part.strip()!r} is none of endpoint=…, pollingIntervalMs=…, "
                "initialSamplingRate=…: it is left out"
            )
    return found


def option(
    request: Request, given: dict[str, str], key: str, default: float, least: float, most: float
) -> float:
    """Return one number of the list; the default where it is left out, and a problem where it is wrong."""
    if key not in given:
        return default
    value = _float(given[key])
    if least <= value <= most:
        return value
    meant = (probable_milliseconds if key.endswith("Ms") else probable_rate)(given[key])
    probably, used = "", default
    if meant is not None and least <= meant <= most:
        probably, used = f", {meant:.10g} was probably meant", meant
    request.problems.append(
        f"{ARG}: {key}={given[key]!r} is not a number from {least:g} to {most:g}{probably}: {used:g} is used"
    )
    return used


def endpoint_of(request: Request, text: str) -> Endpoint:
    """Where to ask; the default, and a problem told, where that is no URL."""
    from eco2_tracing.sampling._remote.fetch import parse_endpoint

    try:
        return parse_endpoint(text)
    except ValueError as error:
        request.problems.append(f"{ARG}: endpoint: {error}: {DEFAULT_ENDPOINT} is used")
        return parse_endpoint(DEFAULT_ENDPOINT)


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
