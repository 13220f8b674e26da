"""A gunicorn worker for applications without a lifespan."""

from __future__ import annotations

from typing import Any, ClassVar

from uvicorn_worker import UvicornWorker


class NoLifespan(UvicornWorker):
    """Disables lifespans as uvicorn-worker's documentation says."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {"loop": "auto", "http": "auto", "lifespan": "off"}
