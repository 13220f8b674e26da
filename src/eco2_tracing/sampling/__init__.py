"""Head samplers, by the names of ``OTEL_TRACES_SAMPLER``, and the sampling probability in ``tracestate``.

`build_sampler` makes a sampler from the variable's value. Every class is an SDK sampler for any ``TracerProvider``.
"""

from typing import TYPE_CHECKING

from eco2_tracing.sampling._build import build_sampler
from eco2_tracing.sampling._head.rate import RateLimiting
from eco2_tracing.sampling._head.samplers import (
    NOT_CHOSEN,
    UNKNOWN,
    AlwaysOff,
    AlwaysOn,
    BuiltSampler,
    CustomSampler,
    HeadSampler,
    TraceIdRatio,
)
from eco2_tracing.sampling._head.tracestate import (
    ot_member,
    randomness_value,
    threshold,
    with_probability,
)

if TYPE_CHECKING:
    from eco2_tracing.sampling._remote.sampler import JaegerRemote

__all__ = [
    "NOT_CHOSEN",
    "UNKNOWN",
    "AlwaysOff",
    "AlwaysOn",
    "BuiltSampler",
    "CustomSampler",
    "HeadSampler",
    "JaegerRemote",
    "RateLimiting",
    "TraceIdRatio",
    "build_sampler",
    "ot_member",
    "randomness_value",
    "threshold",
    "with_probability",
]


def __getattr__(name: str) -> object:
    """Import the sampler with a polling thread when it is first used."""
    if name != "JaegerRemote":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from eco2_tracing.sampling._remote.sampler import JaegerRemote

    return JaegerRemote


def __dir__() -> list[str]:
    """Return the names of this module, those that are imported later included."""
    return sorted({*globals(), *__all__})
