"""Server-sent events about traces that arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING

import orjson

from eco2_tracing._view.json_views import summary_view

if TYPE_CHECKING:
    from eco2_tracing._view.store import Store

_EVERY_S = 0.1
_WAIT_S = 0.5
_KEEP_ALIVE_S = 15.0
_MOST_PER_EVENT = 200


async def events(store: Store, is_over: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Yield an event ``traces`` with the summaries of the traces that changed, at most ten times a second.

    After an event ``reload``, the list must be fetched again: more traces changed than one event holds.

    Args:
        store: The store.
        is_over: Returns True if the server stops.
    """
    changed: dict[str, None] = {}
    wakeup = asyncio.Event()
    loop = asyncio.get_running_loop()

    def add(trace_ids: Sequence[str]) -> None:
        changed.update(dict.fromkeys(trace_ids))
        wakeup.set()

    def notify(trace_ids: Sequence[str]) -> None:
        loop.call_soon_threadsafe(add, trace_ids)

    end = store.listen(notify)
    try:
        yield b"retry: 1000\n\n"
        silent_s = 0.0
        while not is_over():
            try:
                await asyncio.wait_for(wakeup.wait(), _WAIT_S)
            except TimeoutError:
                silent_s += _WAIT_S
                if silent_s >= _KEEP_ALIVE_S:
                    silent_s = 0.0
                    yield b": nothing new\n\n"
                continue
            silent_s = 0.0
            wakeup.clear()
            ids = list(changed)
            changed.clear()
            yield await asyncio.to_thread(_event, store, ids)
            await asyncio.sleep(_EVERY_S)
    finally:
        end()


def _event(store: Store, ids: Sequence[str]) -> bytes:
    if len(ids) > _MOST_PER_EVENT:
        return b"event: reload\ndata: {}\n\n"
    found = [summary_view(one) for one in store.summaries(ids)]
    return b"event: traces\ndata: " + orjson.dumps(found) + b"\n\n"
