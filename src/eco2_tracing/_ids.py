"""Random ids that differ between processes."""

from __future__ import annotations

from random import Random
from weakref import WeakSet

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from eco2_tracing._forks import in_child


class OwnRandomIds(RandomIdGenerator):
    """The SDK's id generator with its own random source.

    The SDK uses Python's shared source. An application may seed it, and after a fork in C, as by uWSGI, all children
    would generate the same ids: Python seeds it only after its own forks.
    """

    def __init__(self) -> None:
        self._source = Random()  # noqa: S311 - ids are not secrets
        self._bits = self._source.getrandbits
        _generators.add(self)

    def generate_span_id(self) -> int:
        """Return 64 random bits, not all zero."""
        return self._bits(64) or self.generate_span_id()

    def generate_trace_id(self) -> int:
        """Return 128 random bits, not all zero."""
        return self._bits(128) or self.generate_trace_id()

    def reseed(self) -> None:
        """Seed from the operating system."""
        self._source.seed()


_generators: WeakSet[OwnRandomIds] = WeakSet()


def _reseed_all() -> None:
    for ids in list(_generators):
        ids.reseed()


in_child(_reseed_all)
