"""A service that runs under the viewer."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from tests.browser.viewer import COMMAND, Viewer, viewer_of

from eco2_tracing._cli.processes import Child

APP = """
from fastapi import FastAPI

app = FastAPI()

@app.get("/items/{item}")
def read(item: int):
    return {"item": item}
"""


@contextmanager
def running_service(folder: Path) -> Iterator[tuple[Viewer, Callable[[int], object]]]:
    """Run ``eco2-tracing view -- uvicorn …`` until the block ends.

    Yields:
        The viewer, and a function that sends a request.
    """
    (folder / "shop.py").write_text(APP)
    outside = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "ECO2_"))}
    environ = outside | {"NO_PROXY": "127.0.0.1"}
    command = [sys.executable, *COMMAND, "--", "uvicorn", "--app-dir", str(folder), "shop:app", "--port", "0"]
    with Child("view", command, environ) as child:
        viewer = viewer_of(child)
        url = child.wait_for_line(r"running on (http://127\.0\.0\.1:\d+)").group(1)
        with httpx.Client(base_url=url, trust_env=False) as client:
            yield viewer, lambda number: client.get(f"/items/{number}")
