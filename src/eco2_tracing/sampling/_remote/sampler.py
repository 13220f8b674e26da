"""The sampler that uses the strategy of a Jaeger server, which a thread polls."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty

from eco2_tracing._guard import warn_once
from eco2_tracing._lazy_imports import lazy_imports
from eco2_tracing._native import NativeThread, RLock, Signal
from eco2_tracing._settings import shown_endpoint
from eco2_tracing.sampling._head.base import HeadSampler, JaegerTags
from eco2_tracing.sampling._head.fixed import TraceIdRatio
from eco2_tracing.sampling._head.forks import renew_after_fork
from eco2_tracing.sampling._remote.fetch import Endpoint, Fetcher
from eco2_tracing.sampling._remote.strategies import Limiter, parse_strategy

_JITTER = 0.1  # share of the interval: instances that start together must not poll together
_JOIN_S = 0.5


class JaegerRemote(HeadSampler):
    """Samples by the strategy of a Jaeger server, and by an initial ratio until it is fetched.

    The polling thread starts with the first decision, in a forked child too. The last valid strategy stays in use
    while the server cannot be reached or sends none; one warning is logged.

    Args:
        endpoint: The server.
        service_name: The service whose strategy is requested.
        interval_s: Seconds between two polls.
        initial_ratio: The initial ratio, from 0 to 1.
        limiter: Makes rate-limiting samplers.
        fetch: Returns a decoded strategy, in place of a request to the server.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        service_name: str,
        *,
        interval_s: float,
        initial_ratio: float,
        limiter: Limiter,
        fetch: Callable[[], object] | None = None,
    ) -> None:
        self._url = shown_endpoint(endpoint.url)
        self._interval_s = interval_s
        self._limiter = limiter
        self._fetcher = Fetcher(endpoint, service_name)
        self._fetch = fetch or self._fetcher.fetch
        self._current: HeadSampler = TraceIdRatio(initial_ratio)
        self._answer: object = None
        self._closed = False
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Forget the thread of the parent process; the next decision starts a new one."""
        self._started = self._closed
        self._stop: Signal = Signal()
        self._lock = RLock()
        self._thread: NativeThread | None = None

    def sample(self, trace_id: int, name: str) -> float:
        """Decide by the current strategy."""
        if not self._started:
            self._start()
        return self._current.sample(trace_id, name)

    @property
    def needs_name(self) -> bool:  # type: ignore[override]  # changes with the strategy
        """True if the current strategy decides by the span's name."""
        return self._current.needs_name

    def probability(self, name: str) -> float | None:
        """Return the current strategy's probability."""
        return self._current.probability(name)

    def jaeger_tags(self, name: str = "") -> JaegerTags | None:
        """Return the current strategy's tags."""
        return self._current.jaeger_tags(name)

    def get_description(self) -> str:
        """Return the server's URL and the current strategy."""
        return f"JaegerRemote{{{self._url}: {self._current.get_description()}}}"

    def refresh(self) -> bool:
        """Fetch the strategy now, in this thread. The request is not traced.

        Returns:
            True if a strategy was read.
        """
        with lazy_imports():
            from opentelemetry.instrumentation.utils import (
                suppress_instrumentation,
            )

        try:
            with suppress_instrumentation():
                answer = self._fetch()
            if answer != self._answer:  # otherwise limiters keep their estimate of the load
                self._current = parse_strategy(answer, self._limiter)
                self._answer = answer
        except Exception as error:  # noqa: BLE001 - any failure of the request; the thread goes on
            if self._stop.empty():
                self._warn(error)
            return False
        return True

    def close(self) -> None:
        """Stop the thread without waiting for the server, and keep the last strategy."""
        with self._lock:
            self._closed = self._started = True
            thread = self._thread
        self._stop.put(None)
        self._fetcher.abort()
        if thread is not None and not thread.is_current():
            thread.join(_JOIN_S)

    def _start(self) -> None:
        with self._lock:
            if self._started:
                return
            self._started = True
            self._thread = NativeThread(partial(self._poll, self._stop), "eco2-tracing-sampling")
        try:
            self._thread.start()
        except RuntimeError as error:  # the interpreter is shutting down, or no thread is left
            self._warn(error)

    def _poll(self, stop: Signal) -> None:
        spread = random.Random()  # noqa: S311 - a jitter
        while stop.empty():
            self.refresh()
            with suppress(Empty):
                stop.get(timeout=self._interval_s * spread.uniform(1 - _JITTER, 1 + _JITTER))
                return

    def _warn(self, error: Exception) -> None:
        warn_once(
            f"jaeger_remote:{self._url}",
            "no sampling strategy from %s (%s: %s); %s stays in use, the server is asked again every %g s",
            self._url, type(error).__name__, error,
            self._current.get_description(), self._interval_s,
        )  # fmt: skip
