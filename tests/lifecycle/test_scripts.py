"""Processes without a server: a script's end, a signal, and workers that are recycled."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.lifecycle.servers import LIMIT_S, SERVERS, environment, serving
from tests.support import programs

SCRIPT = """
import os, signal, sys
from eco2_tracing import configure_tracing, span
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever it was where the tests were started, such as by nohup
configure_tracing(service_name="script")
for _ in range(10):
    with span("work"):
        pass
"""
ENDS = {
    "end": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "exception": ("raise RuntimeError('told to')", 1),
    "SIGTERM": ("signal.raise_signal(signal.SIGTERM)", -15),
    "SIGTERM twice": ("os.kill(0, signal.SIGTERM); os.kill(0, signal.SIGTERM)", -15),
    "SIGINT": ("signal.raise_signal(signal.SIGINT)", -2),
    "SIGHUP": ("signal.raise_signal(signal.SIGHUP)", -1),
    "SIGTERM, handled by the script": (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); signal.raise_signal(signal.SIGTERM)",
        7,
    ),
    "SIGTERM in a thread": (
        (
            "import threading; threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGTERM)).start()\n"
            "signal.pause()"
        ),
        -15,
    ),
}


def run(code: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a script in a process group of its own."""
    return programs.run(
        [sys.executable, "-c", code],
        env=environ,
        timeout=LIMIT_S,
        start_new_session=True,
    )


@pytest.mark.parametrize("end", ENDS)
def test_a_script_delivers(end, otlp_receiver):
    """However a script ends, its spans arrive, and its exit status is unchanged."""
    last, expected = ENDS[end]
    done = run(
        SCRIPT + last, environment(otlp_receiver.http_endpoint, OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf")
    )
    assert done.returncode == expected, done.stderr
    assert [span.name for span in otlp_receiver.spans] == ["work"] * 10


def test_a_signal_that_is_ignored_stays_ignored(otlp_receiver):
    """A signal that is ignored, as by ``nohup``, stays ignored."""
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SCRIPT
    code += "signal.raise_signal(signal.SIGTERM); print('alive')"
    done = run(code, environment(otlp_receiver.grpc_endpoint))
    assert (done.returncode, done.stdout) == (0, "alive\n")


def test_a_worker_that_is_recycled_delivers(tmp_path, otlp_receiver):
    """Spans of a worker that gunicorn ends after a number of requests arrive."""
    server = SERVERS["gunicorn"]
    pytest.importorskip(server.needs)
    for kind, command in server.commands().items():
        otlp_receiver.clear()
        recycling = [*command, "--max-requests", "5"]
        with serving(recycling, tmp_path / kind, environment(otlp_receiver.grpc_endpoint)) as served:
            served.wait_for(served.answers)
            pid = served.work(1).pop()
            while True:
                try:
                    if served.work(1) != {pid}:
                        break
                except OSError:
                    served.wait_for(served.answers)
            served.wait_for(lambda: len(otlp_receiver.spans) >= 1)
            found = {span.resource["process.pid"] for span in otlp_receiver.spans}
        assert found == {pid}
