"""Queued spans arrive when a server is stopped, for every server and signal."""

from __future__ import annotations

import signal
from contextlib import ExitStack

import pytest

from tests.lifecycle.servers import SERVERS, environment, serving


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("name", SERVERS)
def test_every_queued_span_is_delivered(name, number, tmp_path, otlp_receiver):
    """Each span arrives once, at either signal, with a lifespan and without; the exit status is the server's own."""
    server = SERVERS[name]
    pytest.importorskip(server.needs)
    environ = environment(otlp_receiver.grpc_endpoint)
    commands = server.commands()
    with ExitStack() as stack:
        running = {
            kind: stack.enter_context(serving(command, tmp_path / kind, environ))
            for kind, command in commands.items()
        }
        for served in running.values():
            served.wait_for(served.answers)
        for served in running.values():
            served.work()
        assert otlp_receiver.spans == ()
        codes = {kind: served.stop(number)[0] for kind, served in running.items()}
    names = sorted(span.name for span in otlp_receiver.spans)
    expected = server.at_sigterm if number == signal.SIGTERM else server.at_sigint
    logs = "\n".join((tmp_path / kind).read_text() for kind in commands)
    assert names.count("GET /work/{item}") == 10 * len(commands), logs
    assert codes == dict.fromkeys(commands, expected), logs
    assert "Traceback" not in logs.replace("KeyboardInterrupt", ""), logs
