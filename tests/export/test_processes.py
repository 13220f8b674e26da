"""Forks and exits, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eco2_tracing import _lazy_imports
from eco2_tracing._forks import _Forks
from eco2_tracing._native import Lock
from tests.export.receivers import BlackHole, GrpcReceiver, HttpReceiver
from tests.support import programs

ROOT = Path(__file__).parents[2]


def environment() -> dict[str, str]:
    """The environment without proxies."""
    return {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own."""
    return programs.run([sys.executable, *arguments], env=environment() | environ, timeout=120)


def run_new(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process that has imported nothing."""
    return programs.run([sys.executable, *arguments], env=environment(), timeout=120, new=True)


def expected(plan: str, children: int) -> list[str]:
    """Return the names of all spans of all processes."""
    names = ["parent-queued", "parent-late"] + (["parent-early"] if plan != "before" else [])
    for n in range(children):
        for depth in range(3 if plan == "nested" else 1):
            names += [f"c{n}{'.0' * depth}-first", f"c{n}{'.0' * depth}-second"]
    return sorted(names)


@pytest.mark.parametrize("support", ["", "0", "1"])
@pytest.mark.parametrize("plan", ["before", "after", "busy", "nested"])
@pytest.mark.parametrize("kind", [GrpcReceiver, HttpReceiver])
def test_fork(kind: Any, plan: str, support: str) -> None:
    """Every span of every process arrives once, whenever it forks and whatever gRPC is told about forks."""
    environ = {"GRPC_ENABLE_FORK_SUPPORT": support} if support else {}
    with kind() as receiver, BlackHole() as hole:
        done = run(
            "-m", "tests.export.forking", receiver.endpoint, plan, "3", f"127.0.0.1:{hole.port}", **environ
        )
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert sorted(receiver.names) == expected(plan, 3)


def test_fifty_children() -> None:
    """A process with many children loses none of their spans."""
    with GrpcReceiver() as receiver:
        assert run("-m", "tests.export.forking", receiver.endpoint, "after", "50").returncode == 0
        assert sorted(receiver.names) == expected("after", 50)


IMPORTING = """
import os, sys, threading
from tests.export.forking import open_batcher
from tests.export.spans import make_span
from tests.support.c_fork import c_fork

in_c = sys.argv[3] == "in C"
fork = c_fork() if in_c else os.fork
begun, forked = threading.Event(), threading.Event()

def wait():
    if not begun.is_set():
        begun.set()
        forked.wait(20 if in_c else 0.5)  # a fork in Python waits for the end of the import

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[2]:
            wait()

def executed(event, arguments):
    if event == "exec" and arguments[0].co_filename.endswith(sys.argv[2].replace(".", os.sep) + ".py"):
        wait()

if sys.argv[4] == "searched":
    sys.meta_path.insert(0, Slow())
else:
    sys.addaudithook(executed)
batcher = open_batcher(sys.argv[1])
batcher.on_end(make_span("parent"))
batcher.force_flush(1)
assert begun.wait(20)
pid = fork()
if pid:  # in the child, another thread may have held the event's lock at the fork
    forked.set()
batcher.on_end(make_span("parent again" if pid else "child"))
delivered = batcher.shutdown(5000)
os._exit(not delivered or (pid and os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
"""


@pytest.mark.parametrize("moment", ["searched", "executed"])
@pytest.mark.parametrize("how", ["in Python", "in C"])
@pytest.mark.parametrize("module", ["h2.connection", "hpack.table", "encodings.idna"])
def test_fork_during_an_import(module: str, how: str, moment: str) -> None:
    """What the export thread is importing when a process forks can be imported in the child, too."""
    if how == "in C" and moment == "searched" and sys.version_info >= (3, 13):
        pytest.skip("this Python has no way to release the import lock in a child of a fork in C")
    with GrpcReceiver() as receiver:
        done = run_new("-c", IMPORTING, receiver.endpoint, module, how, moment)
        assert done.returncode == 0, done.stderr
        assert sorted(receiver.names) == ["child", "parent", "parent again"]


def test_a_fork_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """One from within an import would wait for itself, and goes on at once; the thread that holds the gate keeps it."""
    monkeypatch.setattr(_lazy_imports, "_LONGEST_S", 3600)
    gate = _lazy_imports._gate
    with _lazy_imports.lazy_imports():
        gate.before_fork()
        gate.in_parent()
        assert gate.lock.locked()
        gate.before_fork()
        held = gate.lock
        gate.in_child()  # its import goes on
        monkeypatch.setattr(gate, "lock", held)
    monkeypatch.setattr(_lazy_imports, "_LONGEST_S", 0.01)
    with gate.lock:
        gate.before_fork()
        gate.in_parent()
        assert gate.lock.locked()
    gate.before_fork()
    assert gate.lock.locked()
    gate.in_parent()
    assert not gate.lock.locked()
    gate.before_fork()
    gate.in_child()
    with _lazy_imports.lazy_imports():
        assert gate.lock.locked()


def test_what_was_being_imported_at_a_fork_is_repaired_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the thread that was importing it; Python may announce the fork while it is being noticed."""
    repaired: list[int] = []

    def repair(thread: int) -> None:
        repaired.append(thread)
        forks.renew()

    forks = _Forks()
    gate = _lazy_imports._Gate(Lock())
    forks.hooks = [gate.in_child]
    monkeypatch.setattr(_lazy_imports, "repair_imports", repair)
    gate.importer = 7
    forks.renew()
    forks.renew()
    assert repaired == [7]


EXIT = """
import sys
from functools import partial
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from tests.export.forking import open_batcher
provider = TracerProvider()
batcher = open_batcher(sys.argv[1])
batcher.shutdown = partial(batcher.shutdown, int(sys.argv[2]))
provider.add_span_processor(batcher)
trace.set_tracer_provider(provider)
with trace.get_tracer("t").start_as_current_span("last"):
    pass
"""


def test_exit_delivers_silently() -> None:
    """At the end of the interpreter, spans arrive and nothing is printed."""
    with GrpcReceiver() as receiver:
        done = run("-c", EXIT, receiver.endpoint, "5000")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert receiver.names == ["last"]


@pytest.mark.parametrize("shut_down", [True, False])
def test_exit_without_a_collector(shut_down: bool) -> None:
    """With a silent collector the interpreter ends all the same, without a traceback."""
    with BlackHole() as hole:
        script = (
            EXIT if shut_down else EXIT.replace("TracerProvider()", "TracerProvider(shutdown_on_exit=False)")
        )
        done = run("-c", script, f"127.0.0.1:{hole.port}", "500")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


IMPORTS = """
import sys
from tests.export.forking import open_batcher
open_batcher("localhost:4317").force_flush(100)
print(sorted({"grpc", "h2", "urllib3", "requests", "google.protobuf", "http.client"} & set(sys.modules)))
"""


def test_building_imports_nothing_heavy() -> None:
    """Neither grpc nor protobuf nor an HTTP/2 library is imported before there is a span to send."""
    done = run_new("-c", IMPORTS)
    assert "h2" not in done.stdout, done.stderr
    assert "grpc" not in done.stdout
    assert "google.protobuf" not in done.stdout


WITHOUT_GRPCIO = """
import sys
sys.modules["grpc"] = None
from eco2_tracing import TracingSettings, configure_tracing, shutdown_tracing, span
configure_tracing(settings=TracingSettings(traces_exporter="otlp,otlp_proto_grpc", exporter_otlp_endpoint=sys.argv[1]))
with span("without"):
    pass
assert shutdown_tracing(20)
"""


def test_without_grpcio(grpc_receiver: GrpcReceiver) -> None:
    """Our exporter speaks gRPC without grpcio; the official one is left out with a warning."""
    done = run("-c", WITHOUT_GRPCIO, f"http://{grpc_receiver.endpoint}")
    assert done.returncode == 0, done.stderr
    assert grpc_receiver.names == ["without"]
    assert "'otlp_proto_grpc' cannot be used and is left out" in done.stderr
