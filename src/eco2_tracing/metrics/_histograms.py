"""Aggregates the durations of HTTP requests and counts active ones.

The SDK's instruments take 7 µs for one measurement, more than a traced request may cost. What is aggregated here is
added to the data that the SDK collects, in the SDK's own types.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
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

MOST_PENDING = 128
"""Measurements of one series that wait to be aggregated."""

OVERFLOW: Mapping[str, AttributeValue] = {"otel.metric.overflow": True}
"""The attributes of all measurements beyond the limit."""

_OVERFLOW_KEY = ("overflow",)


_Exemplar = tuple[float, int, int, int]


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


class _Series:
    """The measurements of one key that have not been aggregated.

    Values are appended without a lock, which also a signal handler or a destructor may do. Aggregating many at once
    takes less time, and numbers give the garbage collector nothing to traverse.
    """

    __slots__ = ("exemplars", "values")

    def __init__(self) -> None:
        self.values: list[float] = []
        # By bucket, as those of a cell.
        self.exemplars: dict[int, _Exemplar] = {}


class Durations:
    """A histogram of seconds.

    Args:
        named: Name, unit and description.
        bounds: Upper bounds of the buckets.
        describe: Returns the attributes of a key.
        has_exemplars: Measurements in exported traces become exemplars.
        also: Called whenever measurements are aggregated.
    """

    def __init__(
        self,
        named: Named,
        bounds: tuple[float, ...],
        describe: Describe,
        *,
        has_exemplars: bool = True,
        also: Callable[[], None] | None = None,
    ) -> None:
        self.named = named
        self.bounds = bounds
        self._describe = describe
        self._has_exemplars = has_exemplars
        self._also = also
        self._stores: tuple[Store, ...] = ()
        self._series: dict[Key, _Series] = {}
        self._lock = RLock()
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
        series = self._series.get(key)
        if series is None:
            series = self._new_series(key)
        values = series.values
        values.append(seconds)
        if exported is not None and self._has_exemplars:
            index, exemplars = bisect_left(self.bounds, seconds), series.exemplars
            if index not in exemplars:  # the first of many is as good as the last
                exemplars[index] = (seconds, time_ns(), exported.span_id, exported.trace_id)
        if len(values) >= MOST_PENDING and self._lock.acquire(blocking=False):  # another thread is doing it
            try:
                self._drain()
            finally:
                self._lock.release()

    def _new_series(self, key: Key) -> _Series:
        if len(self._series) >= MOST_SERIES - 1:
            key = _OVERFLOW_KEY
        return self._series.setdefault(key, _Series())  # the same one for two threads

    def _drain(self) -> None:
        """Aggregate every measurement. The lock is held."""
        for key, series in list(self._series.items()):
            values = series.values
            taken = values[:]
            if taken:
                del values[: len(taken)]  # other threads may append meanwhile
                exemplars, series.exemplars = series.exemplars, {}
                for store in self._stores:
                    self._add(store, key, taken, exemplars)
        if self._also is not None:
            self._also()

    def _add(self, store: Store, key: Key, values: list[float], exemplars: dict[int, _Exemplar]) -> None:
        cell = store.cells.get(key)
        if cell is None:
            started = store.since if store.is_delta else time_ns()
            cell = store.cells[key] = Cell(len(self.bounds) + 1, started)
        bounds, buckets = self.bounds, cell.buckets
        for seconds in values:
            buckets[bisect_left(bounds, seconds)] += 1
        cell.count += len(values)
        cell.total += sum(values)
        cell.least = min(cell.least, *values)
        cell.greatest = max(cell.greatest, *values)
        cell.exemplars.update(exemplars)

    def collect(self, store: Store) -> list[tuple[Mapping[str, AttributeValue], Cell]]:
        """Return attributes and data of each series of a store."""
        with self._lock:
            self._drain()
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
        self._series = {}
        for store in self._stores:
            store.clear()


class ActiveCount:
    """The number of requests that are being served, by their attributes.

    Attributes:
        began: Called with the key of a request that begins.
        ended: Called with the key of a request that ends.
    """

    def __init__(self, named: Named, describe: Describe) -> None:
        self.named = named
        self._describe = describe
        self.after_fork()
        renew_in_child(self)

    def drain(self) -> None:
        """Aggregate the requests that have begun and ended since the last call."""
        with self._lock:
            counts = self._counts
            counts.update(_taken(self._begun))
            for key, number in Counter(_taken(self._over)).items():
                if key in counts:  # a child process may end a request that its parent began
                    counts[key] -= number

    def collect(self) -> list[tuple[Mapping[str, AttributeValue], int]]:
        """Return attributes and number of each series."""
        self.drain()
        return [(self._describe(key), count) for key, count in list(self._counts.items())]

    def after_fork(self) -> None:
        """In a forked child: the requests being served are the parent's."""
        self._lock = RLock()
        self._counts: Counter[Key] = Counter()
        self.since = time_ns()
        # Appending needs no lock. `clear` keeps the bound methods that a middleware has.
        if not hasattr(self, "_begun"):
            self._begun: deque[Key] = deque()
            self._over: deque[Key] = deque()
            self.began, self.ended = self._begun.append, self._over.append
        self._begun.clear()
        self._over.clear()


def _taken(items: deque[Key]) -> list[Key]:
    """Remove and return what a deque holds now."""
    return [items.popleft() for _ in range(len(items))]
