"""A consumer in a process of its own: its client is imported first, as services do."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.messaging.services import WAYS


def main(way_name: str, port: str, name: str) -> None:
    """Handle one message, traced."""
    (way,) = (way for way in WAYS if str(way) == way_name)
    importlib.import_module(way.client)
    from eco2_tracing import configure_tracing, span

    def handle(body: bytes) -> None:
        with span("brew"):
            assert body == b"tea"

    assert configure_tracing()
    way.consume(int(port), name, handle, way.how)


main(*sys.argv[1:])
