"""Ends a lifespan while the collector does not answer; prints the duration and the longest stall of the loop."""

from __future__ import annotations

import asyncio
import time

from eco2_tracing import configure_tracing, instrument_app, span

configure_tracing(service_name="ticking")

from fastapi import FastAPI  # noqa: E402


async def main() -> None:
    """Run the lifespan beside a task that measures stalls."""
    app = FastAPI()
    instrument_app(app)
    for number in range(2000):
        with span("queued", attributes={f"key{n}": f"{number} is the value of {n}" for n in range(40)}):
            pass
    messages = asyncio.Queue()
    sent = asyncio.Queue()
    lifespan = asyncio.create_task(app({"type": "lifespan", "state": {}}, messages.get, sent.put))
    await messages.put({"type": "lifespan.startup"})
    await sent.get()
    longest = 0.0
    begun = last = time.monotonic()
    await messages.put({"type": "lifespan.shutdown"})
    while not lifespan.done():
        await asyncio.sleep(0.001)
        now = time.monotonic()
        longest, last = max(longest, now - last), now
    print(last - begun, longest)


asyncio.run(main())
