"""The standard library's ``logging``, Python 3.11 to 3.14."""

from __future__ import annotations

import logging


def format_of(formatter: logging.Formatter | None) -> str | None:
    """Return the format that a formatter was made with; ``None`` for none.

    Without the private name it is unknown: such a handler counts as configured, and stays.
    """
    return None if formatter is None else getattr(formatter, "_fmt", None)
