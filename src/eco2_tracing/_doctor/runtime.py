"""Checks the container and the server model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from eco2_tracing._doctor.finding import Facts, Finding
from eco2_tracing._resource.build import kubernetes_facts

_MEMORY_FILES = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_PROCESS_BYTES = 80 * 1024 * 1024
"""What a process of FastAPI and this library takes before the service's own code: measured, docs/benchmarks.md."""
_MEBIBYTE = 1024 * 1024


def check_downward_api(facts: Facts) -> Iterator[Finding]:
    """Yield a finding for a pod whose spans do not say which pod they are from."""
    if facts.in_kubernetes and "k8s.pod.name" not in {
        *kubernetes_facts(facts.environ),
        *facts.settings.resource_attributes,
    }:
        yield Finding(
            "downward-api", "warning", "K8S_POD_NAME", "no variable has the name of the pod",
            "Spans do not say which pod they are from.",
            "Add K8S_POD_NAME, K8S_NAMESPACE_NAME and K8S_NODE_NAME by fieldRef to the Deployment.",
            "docs/configuration.md",
        )  # fmt: skip


def check_memory(facts: Facts, files: tuple[Path, ...] = _MEMORY_FILES) -> Iterator[Finding]:
    """Yield a finding if the container's memory limit is too small for its processes."""
    limit = next((value for value in map(_limit, files) if value is not None), None)
    workers = max(1, facts.settings.workers)
    if limit is not None and limit < workers * _PROCESS_BYTES:
        yield Finding(
            "memory-limit", "warning", "resources.limits.memory",
            f"{limit // _MEBIBYTE} MiB for {workers} processes",
            f"A process of FastAPI takes about {_PROCESS_BYTES // _MEBIBYTE} MiB before the service's own code.",
            f"Raise the limit to {workers * 2 * _PROCESS_BYTES // _MEBIBYTE} MiB, or run fewer processes.",
            "docs/reliability.md",
        )  # fmt: skip


def _limit(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() and int(text) < 1 << 60 else None


def check_server(facts: Facts) -> Iterator[Finding]:
    """Yield findings for options of servers under which spans are lost."""
    words = list(facts.command)
    program = Path(words[0]).name if words else ""
    if program == "uwsgi":
        joined = " ".join(words)
        for option, problem in (
            (
                "--die-on-term",
                "uWSGI aborts requests at SIGTERM and skips atexit: spans of the last second are lost.",
            ),
            ("--gevent", "uWSGI never runs atexit with its own loops: what is queued at the end is lost."),
        ):
            if option in joined:
                yield Finding(
                    "uwsgi-exit", "warning", option, joined, problem,
                    f"Remove {option}. docs/servers.md has a hook for SIGTERM.", "docs/servers.md",
                )  # fmt: skip
