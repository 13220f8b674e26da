"""A process that forks: run with the receiver's endpoint, the plan, and the number of children.

Plans: ``before`` the processor exists, ``after`` it sent spans, ``busy`` while a call is under way, ``nested``.
"""

from __future__ import annotations

import os
import sys

from eco2_tracing._export import SpanBatcher, build_otlp
from eco2_tracing._settings.otlp import OtlpSettings
from tests.export.spans import make_span


def open_batcher(endpoint: str) -> SpanBatcher:
    """Return a processor with a delay of an hour."""
    protocol = "http/protobuf" if "://" in endpoint else "grpc"
    settings = OtlpSettings(endpoint=endpoint, protocol=protocol)  # type: ignore[arg-type]
    return SpanBatcher(build_otlp(settings), schedule_delay_s=3600)


def child(batcher: SpanBatcher, name: str, depth: int) -> None:
    """End spans, maybe fork again, and end the process after its child."""
    batcher.on_end(make_span(f"{name}-first"))
    pid = fork(batcher, f"{name}.0", depth - 1) if depth else 0
    batcher.on_end(make_span(f"{name}-second"))
    delivered = batcher.shutdown(5000)
    if pid:
        delivered = os.waitpid(pid, 0)[1] == 0 and delivered
    os._exit(0 if delivered else 3)


def fork(batcher: SpanBatcher, name: str, depth: int) -> int:
    """Fork a child, and return its process id."""
    pid = os.fork()
    if pid == 0:
        child(batcher, name, depth)
    return pid


def main(endpoint: str, plan: str, children: int) -> int:
    """Run a plan, and return how many processes failed."""
    batcher = open_batcher(endpoint)
    if plan != "before":
        batcher.on_end(make_span("parent-early"))
        assert batcher.force_flush(20_000)
    if plan == "busy":
        other = open_batcher(sys.argv[4])
        other.on_end(make_span("never"))
        other.force_flush(200)
    batcher.on_end(make_span("parent-queued"))
    pids = [fork(batcher, f"c{n}", 2 if plan == "nested" else 0) for n in range(children)]
    failed = sum(os.waitpid(pid, 0)[1] != 0 for pid in pids)
    batcher.on_end(make_span("parent-late"))
    failed += not batcher.shutdown(5000)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
