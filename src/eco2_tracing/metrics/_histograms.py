"""Aggregates the durations of HTTP requests and counts active ones.

The SDK's instruments take 7 µs for one measurement, more than a traced request may cost. What is aggregated here is
added to the data that the SDK collects, in the SDK's own types.
"""

from __future__ import annotations

from bisect import bisect_left
from time import time_ns
from typing import TYPE_CHECKING, NamedTuple

from eco2_tracing._forks import renew_in_child
from eco2_tracing._native import RLock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.trace import SpanContext
    from opentelemetry.util.types import AttributeValue

    Key = tuple[object, ...]
    Describe = Callable[[Key], Mapping[str, AttributeValue]]

MOST_SERIES = 2000
"""Sets of attributes of one instrument: the default cardinality limit of the specification."""

OVERFLOW: Mapping[str, AttributeValue] = {"otel.metric.overflow": True}
"""The attributes of all measurements beyond the limit."""

_OVERFLOW_KEY = ("overflow",)


class Named(NamedTuple):
    """Name, unit and description of an instrument."""

    name: str
    unit: str
    description: str


class Cell:
    """The aggregated durations of one set of attributes."""

    __slots__ = ("buckets", "count", "exemplars", "greatest", "least", "started", "total")

    def __init__(self, buckets: int, started: int) -> None:
        self.started = started
        self.count = 0
        self.total = 0.0
        self.least = float("inf")
        self.greatest = float("-inf")
        self.buckets = [0] * buckets
        # By bucket: value, time, span id and trace id of the last exported measurement.
        self.exemplars: dict[int, tuple[float, int, int, int]] = {}

    def copy(self) -> Cell:
        """Return a copy that does not change."""
        copied = Cell(0, self.started)
        copied.count, copied.total = self.count, self.total
        copied.least, copied.greatest = self.least, self.greatest
        copied.buckets, copied.exemplars = self.buckets.copy(), self.exemplars.copy()
        return copied


class Store:
    """The cells of one reader.

    Args:
        is_delta: Each collection begins anew.
        keeps_exemplars: Exemplars are returned until they are replaced: several servers may scrape one endpoint.
    """

    __slots__ = ("cells", "is_delta", "keeps_exemplars", "since")

    def __init__(self, *, is_delta: bool, keeps_exemplars: bool) -> None:
        self.is_delta = is_delta
        self.keeps_exemplars = keeps_exemplars
        self.clear()

    def clear(self) -> None:
        self.cells: dict[Key, Cell] = {}
        self.since = time_ns()


class Durations:
    """A histogram of seconds.

    Args:
        named: Name, unit and description.
        bounds: Upper bounds of the buckets.
        describe: Returns the attributes of a key.
        has_exemplars: Measurements in exported traces become exemplars.
    """

    def __init__(
        self, named: Named, bounds: tuple[float, ...], describe: Describe, *, has_exemplars: bool = True
    ) -> None:
        self._has_exemplars = has_exemplars
        self.named = named
        self.bounds = bounds
        self._describe = describe
        self._stores: tuple[Store, ...] = ()
        self._lock = RLock()  # re-entrant: a signal handler or a destructor may end a request
        renew_in_child(self)

    def add_store(self, *, is_delta: bool, keeps_exemplars: bool = False) -> Store:
        """Return a new store of everything that is recorded from now on."""
        store = Store(is_delta=is_delta, keeps_exemplars=keeps_exemplars)
        self._stores = (*self._stores, store)
        return store

    def record(self, key: Key, seconds: float, exported: SpanContext | None) -> None:
        """Record one measurement.

        Args:
            key: Stands for the attributes.
            seconds: The duration.
            exported: The context of the span if its trace is exported.
        """
        # Flat: this runs for every request and call.
        index = bisect_left(self.bounds, seconds)
        with self._lock:
            for store in self._stores:
                cell = store.cells.get(key)
                if cell is None:
                    cell = self._new_cell(store, key)
                cell.count += 1
                cell.total += seconds
                cell.buckets[index] += 1
                cell.least = min(cell.least, seconds)
                cell.greatest = max(cell.greatest, seconds)
                if exported is not None and self._has_exemplars:
                    cell.exemplars[index] = (seconds, time_ns(), exported.span_id, exported.trace_id)

    def _new_cell(self, store: Store, key: Key) -> Cell:
        if len(store.cells) >= MOST_SERIES - 1:
            key = _OVERFLOW_KEY
            if key in store.cells:
                return store.cells[key]
        started = store.since if store.is_delta else time_ns()
        cell = store.cells[key] = Cell(len(self.bounds) + 1, started)
        return cell

    def collect(self, store: Store) -> list[tuple[Mapping[str, AttributeValue], Cell]]:
        """Return attributes and data of each series of a store."""
        with self._lock:
            cells = [(key, cell.copy()) for key, cell in store.cells.items()]
            if store.is_delta:
                store.clear()
            elif not store.keeps_exemplars:
                for cell in store.cells.values():
                    cell.exemplars.clear()
        return [(OVERFLOW if key is _OVERFLOW_KEY else self._describe(key), cell) for key, cell in cells]

    def after_fork(self) -> None:
        """In a forked child: begin anew."""
        self._lock = RLock()
        for store in self._stores:
            store.clear()


class ActiveCount:
    """The number of requests that are being served, by their attributes.

    Args:
        named: Name, unit and description.
        describe: Returns the attributes of a key.
    """

    def __init__(self, named: Named, describe: Describe) -> None:
        self.named = named
        self._describe = describe
        self._lock = RLock()
        self._counts: dict[Key, int] = {}
        self.since = time_ns()
        renew_in_child(self)

    def add(self, key: Key, change: int) -> None:
        """Add 1 at the begin of a request, and -1 at its end."""
        with self._lock:
            counts = self._counts
            if key in counts:
                counts[key] += change
            elif change > 0:  # a child process may end a request that its parent began
                counts[key] = change

    def collect(self) -> list[tuple[Mapping[str, AttributeValue], int]]:
        """Return attributes and number of each series."""
        with self._lock:
            counts = list(self._counts.items())
        return [(self._describe(key), count) for key, count in counts]

    def after_fork(self) -> None:
        """In a forked child: the requests being served are the parent's."""
        self._lock = RLock()
        self._counts, self.since = {}, time_ns()
