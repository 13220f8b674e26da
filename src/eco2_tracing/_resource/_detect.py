"""The former path of `detect.container_facts`, which programs outside this repository import."""

from __future__ import annotations

from eco2_tracing._resource.build import container_facts

__all__ = ["container_facts"]
