"""gevent and eventlet: no greenlet waits for the export thread, whenever the standard library is patched."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import pytest

from tests.lifecycle.patching import GREENLETS, PARTS, SPANS
from tests.lifecycle.servers import LIMIT_S, ROOT, environment, serving

MOMENTS = ["first", "imported", "configured", "started"]
NEVER_S = 600.0


def needs(name: str) -> None:
    """Skip without a package; it is not imported here, where eventlet would warn of every later fork."""
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed")


def results(process: subprocess.Popen[str]) -> object:
    """Read the next result that a program prints."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("RESULT "):
            return json.loads(line.removeprefix("RESULT "))
    raise AssertionError(process.wait(LIMIT_S))


@pytest.mark.parametrize("delay", ["1", str(int(NEVER_S * 1000))], ids=["sending", "queueing"])
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_greenlets_do_not_wait(library, moment, delay, otlp_receiver):
    """Spans end while an export hangs; a flush lets other greenlets run; all spans arrive."""
    check_greenlets(otlp_receiver, library, moment, "everything", delay)


@pytest.mark.parametrize(
    ("parts", "moment"),
    [
        ("no threads", "first"),
        ("no threads", "started"),
        ("no sockets", "first"),
        ("no TLS", "first"),
        ("no time", "first"),
        ("sockets alone", "first"),
        ("nothing", "first"),
    ],
)
@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_greenlets_of_a_partial_patch(library, parts, moment, otlp_receiver):
    """The same if only some modules are patched, or none."""
    if parts not in {*PARTS[library], "sockets alone", "nothing"}:
        pytest.skip(f"{library} has no such choice")
    check_greenlets(otlp_receiver, library, moment, parts, "1")


def check_greenlets(receiver, library: str, moment: str, parts: str, delay: str) -> None:
    """Run the program of `tests.lifecycle.patching`."""
    needs(library)
    receiver.answer_after(NEVER_S)
    environ = environment(
        receiver.grpc_endpoint,
        OTEL_EXPORTER_OTLP_TIMEOUT=str(int(NEVER_S * 1000)),
        OTEL_BSP_SCHEDULE_DELAY=delay,
    )
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.lifecycle.patching", library, moment, parts],
        env=environ,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        limit = threading.Timer(LIMIT_S, process.kill)  # a greenlet that waits would do so for ever
        limit.start()
        try:
            assert results(process) == [True, True, False, GREENLETS * SPANS + 1]
            receiver.recover()
            process.stdin.write("go on\n")
            process.stdin.flush()
            assert results(process) is True
            assert process.wait(LIMIT_S) == 0
            assert "eco2_tracing" not in process.stderr.read()
        finally:
            limit.cancel()
            process.kill()
    assert len(receiver.spans) == GREENLETS * SPANS + 1


@pytest.mark.parametrize("how", ["plain", "preload", "preload, span at import"])
@pytest.mark.parametrize("worker", ["gevent", "eventlet"])
def test_gunicorn(worker, how, otlp_receiver, tmp_path):
    """Requests are served while the collector does not answer; their spans arrive, and the worker exits in order."""
    for name in (worker, "flask", f"gunicorn.workers.g{worker}"):
        needs(name)
    otlp_receiver.answer_after(NEVER_S)
    environ = environment(
        otlp_receiver.grpc_endpoint,
        OTEL_EXPORTER_OTLP_TIMEOUT=str(int(NEVER_S * 1000)),
        OTEL_BSP_SCHEDULE_DELAY="1",
    )
    if "span" in how:
        environ["SPAN_AT_IMPORT"] = "1"
    command = [sys.executable, "-W", "ignore", "-m", "gunicorn", "tests.lifecycle.flasked:app"]
    command += ["-b", "127.0.0.1:{port}", "-k", worker] + ["--preload"] * ("preload" in how)
    with serving(command, tmp_path / "log", environ) as served:
        served.wait_for(served.answers)
        with ThreadPoolExecutor(4) as clients:
            answers = list(clients.map(lambda item: served.get(f"/work/{item}")[0], range(20)))
        assert answers == [200] * 20
        otlp_receiver.recover()
        served.wait_for(lambda: len([one for one in otlp_receiver.spans if one.name == "inner"]) == 20)
        assert served.stop(signal.SIGTERM)[0] == 0
    servers = [one for one in otlp_receiver.spans if one.name == "GET /work/<int:item>"]
    inner = [one for one in otlp_receiver.spans if one.name == "inner"]
    assert sorted(one.parent_span_id for one in inner) == sorted(one.span_id for one in servers)
    assert "Traceback" not in served.log.read_text()
