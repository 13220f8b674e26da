"""The service of the servers' tests, with a span that is made while it is imported."""

from __future__ import annotations

from eco2_tracing import span
from tests.lifecycle.served import app

__all__ = ["app"]

with span("loaded"):
    pass
