"""The current span in thread pools."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import trace

from eco2_tracing._instrumentation.libraries.hooks import instrument_executors, uninstrument_executors
from eco2_tracing._spans.manual import current_span_id, span


@pytest.fixture(autouse=True)
def _switched_on(provider):
    instrument_executors()
    yield
    uninstrument_executors()


def test_submit_and_map():
    """Work runs in the span that it was submitted in, and the thread keeps nothing of it."""
    with ThreadPoolExecutor(1) as pool:
        with span("first"):
            first = current_span_id()
            assert pool.submit(current_span_id).result() == first
        with span("second"):
            assert list(pool.map(lambda _: current_span_id(), [1, 2])) == [current_span_id()] * 2
        assert pool.submit(current_span_id).result() is None


@pytest.mark.parametrize("own_pool", [True, False])
def test_run_in_executor(own_pool):
    """``loop.run_in_executor`` carries the span, with the loop's own pool too."""

    async def main():
        with ThreadPoolExecutor(1) as pool, span("outer"):
            loop = asyncio.get_running_loop()
            inside = await loop.run_in_executor(pool if own_pool else None, current_span_id)
            return inside, current_span_id(), await asyncio.to_thread(current_span_id)

    inside, outside, in_thread = asyncio.run(main())
    assert inside == outside == in_thread is not None


def test_arguments_results_and_errors_pass_through():
    """The pool behaves as before."""

    def work(number, *, fn):
        if fn is None:
            raise KeyError(number)
        return fn(number)

    with ThreadPoolExecutor(1) as pool, span("outer"):
        assert pool.submit(work, 2, fn=str).result() == "2"
        with pytest.raises(KeyError):
            pool.submit(work, 2, fn=None).result()


def test_plain_threads_are_left_alone():
    """A thread that lives on does not keep the request that started it."""
    seen = []
    with span("outer"):
        thread = threading.Thread(
            target=lambda: seen.append(trace.get_current_span().get_span_context().is_valid)
        )
        thread.start()
        thread.join()
    assert seen == [False]


def test_twice_and_undo():
    """A second call does not wrap again; the undo gives back what was there."""
    wrapped = ThreadPoolExecutor.submit
    instrument_executors()
    assert ThreadPoolExecutor.submit is wrapped
    uninstrument_executors()
    assert ThreadPoolExecutor.submit is not wrapped
    uninstrument_executors()
    with ThreadPoolExecutor(1) as pool, span("outer"):
        assert pool.submit(current_span_id).result() is None
