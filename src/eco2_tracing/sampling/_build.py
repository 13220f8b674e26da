"""Builds the head sampler of ``OTEL_TRACES_SAMPLER`` and its argument, with a description."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import entry_points

from opentelemetry.sdk.trace.sampling import Sampler

from eco2_tracing._settings import shown_endpoint, shown_text
from eco2_tracing._settings.probable import SAFE_RATE, probable_per_second, probable_rate
from eco2_tracing.sampling._arguments import (
    DEFAULT_ENDPOINT,
    Expected,
    SamplerArguments,
    endpoint_of,
    number,
    option,
    pairs,
)
from eco2_tracing.sampling._head.base import BuiltSampler, HeadSampler
from eco2_tracing.sampling._head.custom import CustomSampler
from eco2_tracing.sampling._head.fixed import AlwaysOff, AlwaysOn, TraceIdRatio
from eco2_tracing.sampling._head.rate import RateLimiting

DEFAULT = "parentbased_always_on"
_PARENT_BASED = "parentbased_"
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
_DEFAULT_INTERVAL_MS = 60_000.0
_DEFAULT_INITIAL_RATIO = 0.001
_BARE = (
    "OTEL_TRACES_SAMPLER={name} ignores the decision that comes with a request, as specified: "
    "traces of the mesh are torn; parentbased_{name} honours it; using {name} as it is"
)
_DAY_MS = 86_400_000.0


Made = tuple[HeadSampler, str]
"""A sampler, and what it samples in words."""


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
            group ``opentelemetry_traces_sampler``; any case.
        arg: The argument as text; an empty text is the same as ``None``.
        workers: The number of processes that share a rate.
        service_name: The service whose strategy is requested from a Jaeger server.
        clock: Monotonic seconds.
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
        return f"requests with a decision follow the mesh; others: {words} ({kind})"
    return f"every request, whatever the mesh decided: {words} ({kind})"


def _always_on(given: SamplerArguments) -> Made:
    return AlwaysOn(), "all"


def _always_off(given: SamplerArguments) -> Made:
    return AlwaysOff(), "none"


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
    from eco2_tracing.sampling._remote.sampler import JaegerRemote
    from eco2_tracing.sampling._remote.strategies import rate_limiter

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
    "always_off": _always_off,
    "always_on": _always_on,
    "jaeger_remote": _jaeger_remote,
    "rate_limiting": _rate,
    "traceidratio": _ratio,
}


def _installed(name: str, given: SamplerArguments) -> BuiltSampler | None:
    """Return the sampler of another package; ``None`` if no package has one of this name."""
    for entry in entry_points(group="opentelemetry_traces_sampler"):
        if entry.name.lower() != name:
            continue
        try:
            root = _as_head_sampler(entry.load()(given.arg))
        except Exception as error:  # noqa: BLE001 - the other package's code; the problem says what it raised
            given.problems.append(
                f"OTEL_TRACES_SAMPLER={name} cannot be made ({type(error).__name__}: {error}): "
                f"{DEFAULT} is used"
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
