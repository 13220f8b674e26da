"""A gunicorn worker for applications without a lifespan."""

from __future__ import annotations

from typing import Any, ClassVar

from uvicorn_worker import UvicornWorker


class NoLifespan(UvicornWorker):
    """As uvicorn-worker's documentation says how to."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {"loop": "auto", "http": "auto", "lifespan": "off"}
