"""From ``OTEL_TRACES_SAMPLER`` and its argument to a sampler, and to words about it."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import NamedTuple

from opentelemetry.sdk.trace.sampling import Sampler

from eco2_tracing._settings import shown_endpoint, shown_text
from eco2_tracing._settings.probable import SAFE_RATE, probable_per_second, probable_rate
from eco2_tracing.sampling._arguments import (
    DEFAULT_ENDPOINT,
    Expected,
    Request,
    endpoint_of,
    number,
    option,
    pairs,
)
from eco2_tracing.sampling._head.base import HeadSampler
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


class BuiltSampler(NamedTuple):
    """A head sampler, and what there is to say about it.

    Attributes:
        root: Decides where nobody has decided before.
        parent_based: True when a decision that came with the request is honoured.
        name: The name in use, as in ``OTEL_TRACES_SAMPLER``.
        description: One line in words: what applies to which requests.
        problems: What was wrong with the settings, a sentence each, the value in use included.
        advice: What is allowed but hardly meant: a sentence each, for a warning, never an error.
    """

    root: HeadSampler
    parent_based: bool
    name: str
    description: str
    problems: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()

    @property
    def needs_attributes(self) -> bool:
        """True when the root is to be asked through ``should_sample`` with real attributes."""
        return self.root.needs_attributes

    def close(self) -> None:
        """End the sampler's thread, if it has one. Safe to call twice."""
        self.root.close()


Made = tuple[HeadSampler, str]
"""A sampler, and in words what it does to a request."""


def build_sampler(
    name: str = DEFAULT,
    arg: str | None = None,
    *,
    workers: int = 1,
    service_name: str | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> BuiltSampler:
    """Make the sampler that ``OTEL_TRACES_SAMPLER`` and ``OTEL_TRACES_SAMPLER_ARG`` ask for.

    Never raises: what cannot be used is told in ``problems``, with what is used instead.

    Args:
        name: A name of the specification, ``rate_limiting``, ``parentbased_rate_limiting``, or
            that of an entry point of the group ``opentelemetry_traces_sampler``; any case.
        arg: The argument as text; empty is unset.
        workers: Over how many processes a rate is shared.
        service_name: Whose strategy a Jaeger server is asked for.
        clock: Seconds that never step back.
    """
    name = name.strip().lower() or DEFAULT
    kind = name.removeprefix(_PARENT_BASED)
    request = Request(kind, (arg or "").strip() or None, max(workers, 1), service_name, clock)
    maker = _MAKERS.get(kind)
    if maker is None:
        return _installed(name, request) or _fallback(name, request)
    parent_based = kind != name
    root, words = maker(request)
    advice = () if parent_based else (_BARE.format(name=name),)
    words = _describe(parent_based, words, kind)
    return BuiltSampler(root, parent_based, name, words, _shown(request), advice)


def _shown(request: Request) -> tuple[str, ...]:
    """Mask credentials: the problems quote the argument."""
    return tuple(map(shown_text, request.problems))


def _describe(parent_based: bool, words: str, kind: str) -> str:
    if parent_based:
        return f"requests with a decision follow the mesh; others: {words} ({kind})"
    return f"every request, whatever the mesh decided: {words} ({kind})"


def _always_on(request: Request) -> Made:
    return AlwaysOn(), "all"


def _always_off(request: Request) -> Made:
    return AlwaysOff(), "none"


def _ratio(request: Request) -> Made:
    ratio = number(request, _RATIO)
    return TraceIdRatio(ratio), f"{ratio * 100:.10g} %"


def _rate(request: Request) -> Made:
    rate = number(request, _PER_SECOND)
    words = f"{rate:g} traces a second"
    if request.workers > 1:
        words += f" over {request.workers} processes"
    return RateLimiting(rate, workers=request.workers, clock=request.clock), words


def _jaeger_remote(request: Request) -> Made:
    # What few services ask for is not part of every start.
    from eco2_tracing.sampling._remote.sampler import JaegerRemote
    from eco2_tracing.sampling._remote.strategies import rate_limiter

    given = pairs(request)
    interval_ms = option(request, given, "pollingIntervalMs", _DEFAULT_INTERVAL_MS, 1.0, _DAY_MS)
    ratio = option(request, given, "initialSamplingRate", _DEFAULT_INITIAL_RATIO, 0.0, 1.0)
    endpoint = endpoint_of(request, given.get("endpoint", DEFAULT_ENDPOINT))
    sampler = JaegerRemote(
        endpoint,
        request.service_name or "unknown_service",
        interval_s=interval_ms / 1000,
        initial_ratio=ratio,
        limiter=rate_limiter(request.workers, request.clock),
    )
    return sampler, f"as {shown_endpoint(endpoint.url)} says, {ratio * 100:.10g} % until it answers"


_MAKERS: dict[str, Callable[[Request], Made]] = {
    "always_off": _always_off,
    "always_on": _always_on,
    "jaeger_remote": _jaeger_remote,
    "rate_limiting": _rate,
    "traceidratio": _ratio,
}


def _installed(name: str, request: Request) -> BuiltSampler | None:
    """A sampler of another package; ``None`` when there is none that works."""
    for entry in entry_points(group="opentelemetry_traces_sampler"):
        if entry.name.lower() != name:
            continue
        try:
            root = _as_head_sampler(entry.load()(request.arg))
        except Exception as error:  # noqa: BLE001 - code of another package
            request.problems.append(
                f"OTEL_TRACES_SAMPLER={name} cannot be made ({type(error).__name__}: {error}): "
                f"{DEFAULT} is used"
            )
            return _default(request)
        return BuiltSampler(root, False, name, f"every request: the installed sampler {name}")
    return None


def _as_head_sampler(made: object) -> HeadSampler:
    if not isinstance(made, Sampler):
        raise TypeError(f"the entry point made {type(made).__name__}, not a Sampler")
    return made if isinstance(made, HeadSampler) else CustomSampler(made)


def _fallback(name: str, request: Request) -> BuiltSampler:
    request.problems.append(
        f"OTEL_TRACES_SAMPLER={name!r} is neither built in nor installed: {DEFAULT} is used"
    )
    return _default(request)


def _default(request: Request) -> BuiltSampler:
    words = _describe(True, "all", "always_on")
    return BuiltSampler(AlwaysOn(), True, DEFAULT, words, _shown(request))
