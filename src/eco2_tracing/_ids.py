"""Random ids that no two processes share."""

from __future__ import annotations

from random import Random
from weakref import WeakSet

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from eco2_tracing._forks import in_child


class OwnRandomIds(RandomIdGenerator):
    """The SDK's generator with a source of its own.

    The SDK's uses Python's shared source. Python gives it a new seed in children, but not after a fork in C: all
    workers of uWSGI would make the same ids. The same goes for an application that calls `random.seed`.
    """

    def __init__(self) -> None:
        self._source = Random()  # noqa: S311 - ids are no secrets
        self._bits = self._source.getrandbits
        _alive.add(self)

    def generate_span_id(self) -> int:
        """Return 64 random bits, not all of them zero."""
        return self._bits(64) or self.generate_span_id()

    def generate_trace_id(self) -> int:
        """Return 128 random bits, not all of them zero."""
        return self._bits(128) or self.generate_trace_id()

    def renew(self) -> None:
        """Take a new seed from the operating system."""
        self._source.seed()


_alive: WeakSet[OwnRandomIds] = WeakSet()


def _renew() -> None:
    for ids in list(_alive):
        ids.renew()


in_child(_renew)
