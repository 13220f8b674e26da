"""What samplers do in a forked child: locks and threads of the parent are worth nothing there."""

from __future__ import annotations

from typing import Protocol
from weakref import WeakSet

from eco2_tracing._forks import in_child


class Forkable(Protocol):
    """Something that has to be put right in a forked child."""

    def after_fork(self) -> None:
        """Replace locks, forget threads."""


_alive: WeakSet[Forkable] = WeakSet()


def renew_after_fork(sampler: Forkable) -> None:
    """Have :meth:`Forkable.after_fork` called in children, for as long as the sampler lives."""
    _alive.add(sampler)


def _in_child() -> None:
    for sampler in list(_alive):
        sampler.after_fork()


in_child(_in_child)
