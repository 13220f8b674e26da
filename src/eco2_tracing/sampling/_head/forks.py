"""Samplers with locks or threads, which a forked child process must replace."""

from __future__ import annotations

from typing import Protocol
from weakref import WeakSet

from eco2_tracing._forks import in_child


class Forkable(Protocol):
    """A sampler with state that does not survive a fork."""

    def after_fork(self) -> None:
        """Replace locks and forget threads."""


_alive: WeakSet[Forkable] = WeakSet()


def renew_after_fork(sampler: Forkable) -> None:
    """Call the sampler's ``after_fork`` in child processes, as long as the sampler lives."""
    _alive.add(sampler)


def _in_child() -> None:
    for sampler in list(_alive):
        sampler.after_fork()


in_child(_in_child)
