"""The service behind the proxies, for uvicorn."""

from __future__ import annotations

from eco2_tracing import configure_tracing
from tests.proxies.app import app

__all__ = ["app"]

configure_tracing()
