"""Fixtures of the tests of manual spans."""

from __future__ import annotations

from tests.support.recorded import provider, spans

__all__ = ["provider", "spans"]
