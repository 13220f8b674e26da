"""An application as users write it, without a line for tracing."""

from __future__ import annotations

import logging
import os

from fastapi import FastAPI


class Shop(FastAPI):
    """Applications are often subclasses."""


app = Shop()
admin = FastAPI()
app.mount("/admin", admin)


@app.get("/work/{item}")
async def work(item: int) -> int:
    """Log a line; return the process id."""
    logging.getLogger("shop").info("working on %d", item)
    return os.getpid()


@admin.get("/users/{user}")
def user(user: str) -> str:
    """A route of a mounted application."""
    return user


def create_app() -> FastAPI:
    """Return the application, for servers that call a factory."""
    return app
