"""The builds of a service: its processes, as a reload, a restart or a worker begins them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eco2_tracing._view.json_values import Json

_BUILDS = """
SELECT service, instance, max(version), min(first), max(last), count(*) FROM services
WHERE instance != '' AND (? = '' OR service = ?) GROUP BY service, instance ORDER BY min(first) DESC LIMIT ?
"""
_TRACES = """
SELECT trace_id FROM services WHERE service = ? AND instance = ? ORDER BY first DESC LIMIT ?
"""
_MOST_BUILDS, _MOST_TRACES = 1000, 1000


@dataclass(frozen=True, slots=True)
class Build:
    """One process of a service.

    Attributes:
        service: The name of the service.
        instance: ``service.instance.id``; without one, the version.
        version: ``service.version``, or an empty text.
        first_ns: The first start of a span, in nanoseconds since the epoch.
        last_ns: The last end of a span.
        traces: The number of traces with its spans.
    """

    service: str
    instance: str
    version: str
    first_ns: int
    last_ns: int
    traces: int

    def view(self) -> Json:
        """Return it as JSON. Nanoseconds since the epoch are texts: JavaScript would round them."""
        return {
            "service": self.service,
            "instance": self.instance,
            "version": self.version,
            "first_ns": str(self.first_ns),
            "last_ns": str(self.last_ns),
            "traces": self.traces,
        }


def builds_of(database: sqlite3.Connection, service: str = "") -> list[Build]:
    """Return the builds of a service, or of all, the newest first."""
    return [Build(*row) for row in database.execute(_BUILDS, (service, service, _MOST_BUILDS))]


def traces_of_build(database: sqlite3.Connection, build: Build) -> list[str]:
    """Return the ids of the newest traces of a build."""
    found = database.execute(_TRACES, (build.service, build.instance, _MOST_TRACES))
    return [row[0] for row in found]


def chosen_builds(
    builds: Sequence[Build], left: str = "", right: str = ""
) -> tuple[Build | None, Build | None]:
    """Return the two builds to compare, or ``None`` for one that there is not.

    Args:
        builds: The builds of a service, the newest first.
        left: The instance of the older one; without it, the build before the other.
        right: The instance of the newer one; without it, the newest build.

    Raises:
        LookupError: An instance is none of theirs; its argument is the instance.
    """
    places = {build.instance: at for at, build in enumerate(builds)}
    for instance in filter(None, (left, right)):
        if instance not in places:
            raise LookupError(instance)
    after = places[right] if right else 0
    before = places[left] if left else after + 1
    one, other = (builds[at] if at < len(builds) else None for at in (before, after))
    return one, other
