"""The resource: attributes of the process that its spans carry."""

from __future__ import annotations

from eco2_tracing._resource.build import after_fork_resource, build_resource

__all__ = ["after_fork_resource", "build_resource"]
