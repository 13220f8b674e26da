"""The table of all settings: the reference page and the descriptions of `TracingSettings` are made from it.

A start that reads only the environment does not import it.
"""

from __future__ import annotations

from eco2_tracing._settings.reference.export import EXPORT
from eco2_tracing._settings.reference.requests import REQUESTS
from eco2_tracing._settings.reference.setting import Setting
from eco2_tracing._settings.reference.signals import SIGNALS

__all__ = ["SECTIONS", "Setting", "effects"]

SECTIONS: dict[str, tuple[Setting, ...]] = {**REQUESTS, **EXPORT, **SIGNALS}
"""The rows, by the heading under which the page has them."""


def effects() -> dict[str, str]:
    """Return the effect of each field of `TracingSettings`, by its name."""
    return {row.name: row.effect for rows in SECTIONS.values() for row in rows if not row.name.isupper()}
