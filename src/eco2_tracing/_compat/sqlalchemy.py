"""Private names of `sqlalchemy`. Checked with 2.0 and 2.1."""

from __future__ import annotations

from typing import Any


def original_engine(engine: Any) -> Any:
    """Return the engine whose events an engine with execution options has (`OptionEngine._proxied`).

    Without the private name it is the engine itself: such an engine of early code has then no spans of its own.
    """
    return getattr(engine, "_proxied", engine)
