"""Workers that are replaced: each queued span arrives once."""

from __future__ import annotations

import http.client
import signal
from contextlib import suppress

import pytest

from tests.lifecycle.servers import SERVERS, environment, serving

REPLACING = ["uvicorn --workers 2", "gunicorn", "gunicorn --preload", "gunicorn, its own worker"]
# A signal that meets a second worker of gunicorn's while that is still starting may be lost to it.
_ONE = {"gunicorn --preload": ("-w", "1")}
_LIMITS = {"uvicorn --workers 2": "--limit-max-requests", "gunicorn --preload": "--max-requests"}


def arrived(receiver):
    """The processes whose spans have arrived."""
    return {span.resource["process.pid"] for span in receiver.find("GET /work/{item}")}


def paths(receiver):
    """The item of each span that arrived."""
    return sorted(span.attributes["url.path"] for span in receiver.find("GET /work/{item}"))


@pytest.mark.parametrize("name", REPLACING)
def test_sighup_replaces_the_workers(name, tmp_path, otlp_receiver):
    """Old workers deliver their spans, and new ones have their own instance ids."""
    server = SERVERS[name]
    pytest.importorskip(server.needs)
    environ = environment(otlp_receiver.grpc_endpoint)
    with serving([*server.on, *_ONE.get(name, ())], tmp_path / "log", environ) as served:
        served.wait_for(served.answers)
        old = {int(served.get(f"/work/{item}")[1]) for item in range(10)}
        assert otlp_receiver.spans == ()
        served.process.send_signal(signal.SIGHUP)
        served.wait_for(lambda: len(otlp_receiver.find("GET /work/{item}")) >= 10)
        served.wait_for(served.answers)
        new = {int(served.get(f"/work/{item}")[1]) for item in range(10, 20)}
        served.stop(signal.SIGTERM)
    assert paths(otlp_receiver) == sorted(f"/work/{item}" for item in range(20)), (
        tmp_path / "log"
    ).read_text()
    assert not old & new
    assert arrived(otlp_receiver) == old | new
    instances = {span.resource["service.instance.id"] for span in otlp_receiver.find("GET /work/{item}")}
    assert len(instances) == len(old | new)


@pytest.mark.parametrize("name", _LIMITS)
def test_a_worker_that_has_served_enough(name, tmp_path, otlp_receiver):
    """Each answered request has its span, whichever worker served it."""
    server = SERVERS[name]
    pytest.importorskip(server.needs)
    command, answered, workers = [*server.on, _LIMITS[name], "5"], [], set()
    with serving(command, tmp_path / "log", environment(otlp_receiver.grpc_endpoint)) as served:
        served.wait_for(served.answers)
        item = 0

        def replaced():
            nonlocal item
            item += 1
            with suppress(OSError, http.client.HTTPException):
                workers.add(int(served.get(f"/work/{item}")[1]))
                answered.append(f"/work/{item}")
            return len(workers) >= 3

        served.wait_for(replaced)
        served.stop(signal.SIGTERM)
    got = paths(otlp_receiver)
    assert len(got) == len(set(got))
    assert set(answered) <= set(got), (tmp_path / "log").read_text()
    assert workers <= arrived(otlp_receiver)


def test_a_server_that_has_served_enough(tmp_path, otlp_receiver):
    """A uvicorn that ends after a number of requests delivers its spans."""
    for kind, command in SERVERS["uvicorn"].commands().items():
        otlp_receiver.clear()
        limited = [*command, "--limit-max-requests", "5"]
        with serving(limited, tmp_path / kind, environment(otlp_receiver.grpc_endpoint)) as served:
            served.wait_for(served.answers)
            answered = []
            with suppress(OSError, http.client.HTTPException):
                for item in range(10):
                    served.get(f"/work/{item}")
                    answered.append(f"/work/{item}")
            assert served.process.wait(30) == 0
        assert len(answered) >= 3
        assert set(answered) <= set(paths(otlp_receiver)), (tmp_path / kind).read_text()


def test_a_file_that_changes(tmp_path, otlp_receiver):
    """With ``--reload`` the replaced process delivers its spans."""
    watched = tmp_path / "watched"
    watched.mkdir()
    (watched / "module.py").write_text("before = True\n")
    base = SERVERS["uvicorn"].on
    command = [*base, "--reload", "--reload-dir", str(watched)]
    with serving(command, tmp_path / "log", environment(otlp_receiver.grpc_endpoint)) as served:
        served.wait_for(served.answers)
        old = {int(served.get(f"/work/{item}")[1]) for item in range(10)}

        def replaced():
            (watched / "module.py").write_text(f"after = {len(otlp_receiver.spans)}\n")
            return len(otlp_receiver.find("GET /work/{item}")) >= 10

        served.wait_for(replaced)
        served.wait_for(served.answers)
        new = {int(served.get(f"/work/{item}")[1]) for item in range(10, 20)}
        served.stop(signal.SIGTERM)
    assert not old & new
    got = [span.attributes["url.path"] for span in otlp_receiver.find("GET /work/{item}")]
    assert set(got) >= {f"/work/{item}" for item in range(10)}, (tmp_path / "log").read_text()


def test_sigquit(tmp_path, otlp_receiver):
    """Gunicorn's quick shutdown lets its own workers end in order, too; uvicorn's it kills after half a minute."""
    server = SERVERS["gunicorn, its own worker"]
    pytest.importorskip(server.needs)
    for kind, command in server.commands().items():
        otlp_receiver.clear()
        with serving(command, tmp_path / kind, environment(otlp_receiver.grpc_endpoint)) as served:
            served.wait_for(served.answers)
            served.work()
            assert served.stop(signal.SIGQUIT)[0] == 0
        assert len(otlp_receiver.find("GET /work/{item}")) == 10, (tmp_path / kind).read_text()
