"""Aggregates the durations of HTTP requests and counts active ones.

The SDK's instruments take 7 µs for one measurement, more than a traced request may cost. What is aggregated here is
added to the data that the SDK collects, in the SDK's own types.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from time import time_ns
from typing import TYPE_CHECKING, Any, NamedTuple

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
"""Measurements of one instrument that wait to be aggregated."""

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


class _Pending:
    """Measurements that have not been aggregated.

    A measurement is appended without a lock, which also a signal handler or a destructor may do. Aggregating many at
    once takes a third of the time that it takes one by one.
    """

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._lock = RLock()
        renew_in_child(self)

    def _appended(self) -> None:
        """Aggregate if enough measurements wait, unless another thread is doing so."""
        if self._lock.acquire(blocking=False):
            try:
                self._drain()
            finally:
                self._lock.release()

    def _drain(self) -> None:
        """Aggregate every measurement."""
        raise NotImplementedError

    def after_fork(self) -> None:
        """In a forked child: drop the parent's measurements."""
        self._lock = RLock()
        self._items.clear()


class Durations(_Pending):
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
        super().__init__()
        self.named = named
        self.bounds = bounds
        self._describe = describe
        self._has_exemplars = has_exemplars
        self._stores: tuple[Store, ...] = ()

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
        items = self._items
        if exported is None or not self._has_exemplars:
            items.append((key, seconds, None))
        else:
            items.append((key, seconds, (seconds, time_ns(), exported.span_id, exported.trace_id)))
        if len(items) >= MOST_PENDING:
            self._appended()

    def _drain(self) -> None:
        # Flat: this runs for every request and call.
        popleft, bounds, stores = self._items.popleft, self.bounds, self._stores
        try:
            while True:
                key, seconds, exemplar = popleft()
                index = bisect_left(bounds, seconds)
                for store in stores:
                    cell = store.cells.get(key)
                    if cell is None:
                        cell = self._new_cell(store, key)
                    cell.count += 1
                    cell.total += seconds
                    cell.buckets[index] += 1
                    cell.least = min(cell.least, seconds)
                    cell.greatest = max(cell.greatest, seconds)
                    if exemplar is not None:
                        cell.exemplars[index] = exemplar
        except IndexError:  # there are no more
            pass

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
        super().after_fork()
        for store in self._stores:
            store.clear()


class ActiveCount(_Pending):
    """The number of requests that are being served, by their attributes.

    Args:
        named: Name, unit and description.
        describe: Returns the attributes of a key.
    """

    def __init__(self, named: Named, describe: Describe) -> None:
        super().__init__()
        self.named = named
        self._describe = describe
        self._counts: dict[Key, int] = {}
        self.since = time_ns()

    def add(self, key: Key, change: int) -> None:
        """Add 1 at the begin of a request, and -1 at its end."""
        items = self._items
        items.append((key, change))
        if len(items) >= MOST_PENDING:
            self._appended()

    def _drain(self) -> None:
        popleft, counts = self._items.popleft, self._counts
        try:
            while True:
                key, change = popleft()
                if key in counts:
                    counts[key] += change
                elif change > 0:  # a child process may end a request that its parent began
                    counts[key] = change
        except IndexError:  # there are no more
            pass

    def collect(self) -> list[tuple[Mapping[str, AttributeValue], int]]:
        """Return attributes and number of each series."""
        with self._lock:
            self._drain()
            counts = list(self._counts.items())
        return [(self._describe(key), count) for key, count in counts]

    def after_fork(self) -> None:
        """In a forked child: the requests being served are the parent's."""
        super().after_fork()
        self._counts, self.since = {}, time_ns()
