"""Private names of `opentelemetry-exporter-otlp-proto-common`. Checked with 1.44 and 1.45.

Its encoder of metrics is public; that of logs is in a module with an underscore, as everything of logs was before it
became stable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

_MODULES = ("opentelemetry.exporter.otlp.proto.common._log_encoder",)


def log_encoder(modules: Sequence[str] = _MODULES) -> Callable[[Sequence[Any]], Any]:
    """Return the function that encodes log records as one request.

    Args:
        modules: Modules to look in.

    Raises:
        ImportError: No module has the function.
    """
    for name in modules:
        try:
            encode: Callable[[Sequence[Any]], Any] = import_module(name).encode_logs
        except (ImportError, AttributeError):
            continue
        return encode
    raise ImportError("this opentelemetry-exporter-otlp-proto-common has no encoder of logs that is known")
