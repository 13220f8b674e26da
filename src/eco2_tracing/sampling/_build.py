"""Builds the head sampler of ``OTEL_TRACES_SAMPLER`` and ``OTEL_TRACES_SAMPLER_ARG``, with a description."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.sdk.trace.sampling import Sampler

from eco2_tracing._guard import result_or_error
from eco2_tracing._settings import shown_endpoint, shown_text
from eco2_tracing._settings.probable import (
    SAFE_RATE,
    probable_milliseconds,
    probable_per_second,
    probable_rate,
)
from eco2_tracing.sampling._head.rate import RateLimiting
from eco2_tracing.sampling._head.samplers import (
    AlwaysOff,
    AlwaysOn,
    BuiltSampler,
    CustomSampler,
    HeadSampler,
    TraceIdRatio,
)

if TYPE_CHECKING:
    from eco2_tracing.sampling._remote.fetch import Endpoint


ARG = "OTEL_TRACES_SAMPLER_ARG"
DEFAULT_ENDPOINT = "http://localhost:5778/sampling"
_KEYS = {key.lower(): key for key in ("endpoint", "pollingIntervalMs", "initialSamplingRate")}
DEFAULT = "parentbased_always_on"
_PARENT_BASED = "parentbased_"
_DEFAULT_INTERVAL_MS = 60_000.0
_DEFAULT_INITIAL_RATIO = 0.001
_BARE = (
    "OTEL_TRACES_SAMPLER={name} ignores the decision that comes with a request, as specified: "
    "traces of the mesh are torn; parentbased_{name} honours it; using {name} as it is"
)
_DAY_MS = 86_400_000.0
Made = tuple[HeadSampler, str]
"""A sampler, and what it samples in words."""


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
    """A number that a sampler expects as its argument: in words, and the values used in its place.

    ``meant`` returns the number that a text probably means. ``fallback`` is used if that is unknown, ``default`` if
    the argument is not set, which is a problem if it is required.
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


_RATIO = Expected(
    "a number from 0 to 1", lambda value: 0.0 <= value <= 1.0, probable_rate, default=1.0, fallback=SAFE_RATE
)
_PER_SECOND = Expected(
    "a number of traces a second over 0",
    lambda value: 0.0 < value < float("inf"),
    probable_per_second,
    default=100.0,
    fallback=1.0,
    required=True,
)


def build_sampler(
    name: str = DEFAULT,
    arg: str | None = None,
    *,
    workers: int = 1,
    service_name: str | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> BuiltSampler:
    """Build the sampler of ``OTEL_TRACES_SAMPLER`` and ``OTEL_TRACES_SAMPLER_ARG``.

    Never raises: ``problems`` of the result has a sentence for each value that cannot be used.

    Args:
        name: A name of the specification, ``rate_limiting``, ``parentbased_rate_limiting``, or an entry point of the
            group ``opentelemetry_traces_sampler``, in any case. Default: ``parentbased_always_on``.
        arg: The argument as text. An empty text is the same as ``None``.
        workers: Number of processes that share a rate. Default: 1.
        service_name: The service whose strategy is requested from a Jaeger server.
        clock: Returns monotonic seconds.

    Returns:
        The sampler with its description, problems and advice.

    Examples:
        >>> built = build_sampler("parentbased_traceidratio", "0.01")
        >>> built.description
        'as the caller decided, else 1 % (traceidratio)'
        >>> build_sampler("traceidratio", "1%").root.sample(trace_id=1, name="GET /")
        0.01
    """
    name = name.strip().lower() or DEFAULT
    kind = name.removeprefix(_PARENT_BASED)
    given = SamplerArguments(kind, (arg or "").strip() or None, max(workers, 1), service_name, clock)
    maker = _MAKERS.get(kind)
    if maker is None:
        return _installed(name, given) or _fallback(name, given)
    parent_based = kind != name
    root, words = maker(given)
    advice = () if parent_based else (_BARE.format(name=name),)
    words = _describe(parent_based, words, kind)
    return BuiltSampler(root, parent_based, name, words, _shown(given), advice)


def _shown(given: SamplerArguments) -> tuple[str, ...]:
    """Return the problems with credentials masked: they quote the argument."""
    return tuple(map(shown_text, given.problems))


def _describe(parent_based: bool, words: str, kind: str) -> str:
    if parent_based:
        return f"as the caller decided, else {words} ({kind})"
    return f"{words} ({kind}), whatever the caller decided"


def _ratio(given: SamplerArguments) -> Made:
    ratio = number(given, _RATIO)
    return TraceIdRatio(ratio), f"{ratio * 100:.10g} %"


def _rate(given: SamplerArguments) -> Made:
    rate = number(given, _PER_SECOND)
    words = f"{rate:g} traces a second"
    if given.workers > 1:
        words += f" over {given.workers} processes"
    return RateLimiting(rate, workers=given.workers, clock=given.clock), words


def _jaeger_remote(given: SamplerArguments) -> Made:
    # Few services use it: it is not imported at every start.
    from eco2_tracing.sampling._remote.sampler import JaegerRemote, rate_limiter

    values = pairs(given)
    interval_ms = option(given, values, "pollingIntervalMs", _DEFAULT_INTERVAL_MS, 1.0, _DAY_MS)
    ratio = option(given, values, "initialSamplingRate", _DEFAULT_INITIAL_RATIO, 0.0, 1.0)
    endpoint = endpoint_of(given, values.get("endpoint", DEFAULT_ENDPOINT))
    sampler = JaegerRemote(
        endpoint,
        given.service_name or "unknown_service",
        interval_s=interval_ms / 1000,
        initial_ratio=ratio,
        limiter=rate_limiter(given.workers, given.clock),
    )
    return sampler, f"as {shown_endpoint(endpoint.url)} says, {ratio * 100:.10g} % until it answers"


_MAKERS: dict[str, Callable[[SamplerArguments], Made]] = {
    "always_off": lambda _: (AlwaysOff(), "none"),
    "always_on": lambda _: (AlwaysOn(), "all"),
    "jaeger_remote": _jaeger_remote,
    "rate_limiting": _rate,
    "traceidratio": _ratio,
}


def _installed(name: str, given: SamplerArguments) -> BuiltSampler | None:
    """Return the sampler of another package; ``None`` if no package has one of this name."""
    for entry in entry_points(group="opentelemetry_traces_sampler"):
        if entry.name.lower() != name:
            continue
        root = result_or_error(lambda: _as_head_sampler(entry.load()(given.arg)))  # noqa: B023 - called now
        if isinstance(root, Exception):
            given.problems.append(
                f"OTEL_TRACES_SAMPLER={name} cannot be made ({type(root).__name__}: {root}): {DEFAULT} is used"
            )
            return _default(given)
        return BuiltSampler(root, False, name, f"every request: the installed sampler {name}")
    return None


def _as_head_sampler(made: object) -> HeadSampler:
    if not isinstance(made, Sampler):
        raise TypeError(f"the entry point made {type(made).__name__}, not a Sampler")
    return made if isinstance(made, HeadSampler) else CustomSampler(made)


def _fallback(name: str, given: SamplerArguments) -> BuiltSampler:
    given.problems.append(
        f"OTEL_TRACES_SAMPLER={name!r} is neither built in nor installed: {DEFAULT} is used"
    )
    return _default(given)


def _default(given: SamplerArguments) -> BuiltSampler:
    words = _describe(True, "all", "always_on")
    return BuiltSampler(AlwaysOn(), True, DEFAULT, words, _shown(given))
