"""An application that logs what callers send."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any


def _exception(mark: str, text: str) -> None:
    try:
        raise ValueError(text)  # noqa: TRY301 - the failure of a library
    except ValueError:
        logging.getLogger("lines").exception(mark)


# Each is one record; `{}` is the hostile text. The number of the record stands in each as `record-<n>-`.
WAYS: dict[str, Callable[[str, str], None]] = {
    "message": lambda mark, text: logging.getLogger("lines").info(f"{mark} {text}"),  # noqa: G004 - as applications do
    "argument": lambda mark, text: logging.getLogger("lines").info("%s %s", mark, text),
    "field": lambda mark, text: logging.getLogger("lines").info(mark, extra={"field": text}),
    "name of a field": lambda mark, text: logging.getLogger("lines").info(mark, extra={text: "value"}),
    "mapping": lambda mark, text: logging.getLogger("lines").info(mark, extra={"labels": {text: text}}),
    "logger": lambda mark, text: logging.getLogger(f"lines.{text}").info(mark),
    "dictionary": lambda mark, text: logging.getLogger("lines").info({"message": mark, "field": text}),
    "exception": _exception,
}


def add(app: Any) -> None:
    """Add the routes."""

    @app.get("/lines")
    async def lines(way: str, mark: str, text: str) -> dict[str, bool]:
        WAYS[way](mark, text)
        return {"fine": True}
