"""uWSGI, which forks in C: each worker delivers its spans under its own ids, and exits in time."""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.lifecycle.servers import environment, serving

OPTIONS = {
    "master": [],
    "lazy apps": ["--lazy-apps"],
    "threads": ["--threads", "2"],
    "announced": ["--py-call-osafterfork"],
    "hooks": ["--py-call-uwsgi-fork-hooks"],
    "http": [],
}


GRACEFUL = ["--hook-master-start", "unix_signal:15 gracefully_kill_them_all"]
"""With ``die-on-term`` a worker that is inside a request runs nothing of Python's at its end."""


def program() -> str:
    """Find uWSGI beside this Python, whose modules it loads."""
    pytest.importorskip("flask")
    found = shutil.which("uwsgi", path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip("uwsgi is not installed beside this Python: pip install --group uwsgi")
    return found


def command(*options: str) -> list[str]:
    """Serve the Flask application by two workers."""
    served = ["--http-socket", "127.0.0.1:{port}", "--module", "tests.lifecycle.flasked", "--callable", "app"]
    return [program(), *served, "--master", "--processes", "2", "--need-app", *GRACEFUL, *options]


def servers(receiver) -> list:
    """The spans of requests."""
    return [one for one in receiver.spans if one.name == "GET /work/<int:item>"]


@pytest.mark.parametrize("loaded", ["", "1"], ids=["no span at import", "span at import"])
@pytest.mark.parametrize("options", OPTIONS)
def test_workers_deliver(options, loaded, otlp_receiver, tmp_path):
    """Each span arrives once, with the worker's process and instance id, and ids are unique."""
    http = options == "http"
    more = {
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf" if http else "grpc",
    }
    endpoint = otlp_receiver.http_endpoint if http else otlp_receiver.grpc_endpoint
    environ = environment(endpoint, **more) | ({"SPAN_AT_IMPORT": loaded} if loaded else {})
    with serving(command(*OPTIONS[options]), tmp_path / "log", environ) as served:
        served.wait_for(served.answers)
        pids = served.work(12)
        served.wait_for(lambda: len(servers(otlp_receiver)) == 12)
        # uWSGI loses the signal for a worker that is still loading the application, also without this library.
        loads = 2 if options == "lazy apps" else 1
        served.wait_for(lambda: served.log.read_text().count("WSGI app 0 ") == loads)
        assert served.stop(signal.SIGTERM)[0] == 0
    assert len(servers(otlp_receiver)) == 12
    assert {one.resource["process.pid"] for one in servers(otlp_receiver)} == pids
    instances = {
        (one.resource["process.pid"], one.resource["service.instance.id"]) for one in otlp_receiver.spans
    }
    assert len(instances) == len({pid for pid, _ in instances}) == len({own for _, own in instances})
    spans = otlp_receiver.spans
    assert len({one.span_id for one in spans}) == len(spans)
    assert len({one.trace_id for one in servers(otlp_receiver)}) == 12
    assert "Traceback" not in served.log.read_text()


@pytest.mark.parametrize("how", ["SIGTERM", "SIGHUP", "max-requests"])
def test_workers_that_end(how, otlp_receiver, tmp_path):
    """Queued spans arrive when uWSGI ends, is reloaded or replaces a worker."""
    options = ["--max-requests", "5", "--min-worker-lifetime", "0"] if how == "max-requests" else []
    environ = environment(otlp_receiver.grpc_endpoint, SPAN_AT_IMPORT="1")
    with serving(command(*options), tmp_path / "log", environ) as served:
        served.wait_for(served.answers)
        served.work(12)
        if how == "SIGHUP":
            served.process.send_signal(signal.SIGHUP)
            served.wait_for(lambda: len(servers(otlp_receiver)) == 12)
            # A signal in the middle of the reload is lost, and not by us.
            served.wait_for(lambda: served.log.read_text().count("spawned uWSGI worker 2") == 2)
            served.wait_for(served.answers)
        elif how == "max-requests":
            served.wait_for(lambda: len(servers(otlp_receiver)) >= 5)
        assert served.stop(signal.SIGTERM)[0] == 0
    assert len(servers(otlp_receiver)) == 12
    assert "Traceback" not in served.log.read_text()


def test_the_collector_is_away(tmp_path):
    """Workers end in the exit's budget, before uWSGI kills them."""
    environ = environment("http://127.0.0.1:1", SPAN_AT_IMPORT="1")
    with serving(command("--worker-reload-mercy", "20"), tmp_path / "log", environ) as served:
        served.wait_for(served.answers)
        served.work(12)
        assert served.stop(signal.SIGTERM)[0] == 0
    assert "NO MERCY" not in served.log.read_text()


def test_without_threads(monkeypatch, caplog):
    """An older uWSGI without ``enable-threads`` runs no thread between requests; a warning names the option."""
    from eco2_tracing import configure_tracing

    uwsgi = ModuleType("uwsgi")
    uwsgi.has_threads = 0
    monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    configure_tracing("old")
    assert "set enable-threads = true" in caplog.text
