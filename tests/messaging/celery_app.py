"""What a Celery worker loads: configured as a service does it, from the environment."""

from __future__ import annotations

import os

from celery import Celery

from eco2_tracing import configure_tracing, span

configure_tracing()
app = Celery("kitchen", broker=os.environ["BROKER"], backend=os.environ["BACKEND"])


@app.task(name="brew")
def brew(kind: str) -> str:
    with span("boil"):
        return f"{kind} is ready"


@app.task(name="spill")
def spill() -> None:
    raise ValueError("spilled")
