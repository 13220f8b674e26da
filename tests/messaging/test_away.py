"""A broker that goes away: the service gets what it would get without tracing, and what is current is what it was."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("publisher.py")
# The second's status: Kafka's clients queue, and tell later or, where they have come to know already, at once.
CLIENTS = {
    "pika": ("rabbitmq", {"ERROR"}),
    "aio_pika": ("rabbitmq", {"ERROR"}),
    "kafka": ("kafka", {"UNSET", "ERROR"}),
    "confluent_kafka": ("kafka", {"UNSET"}),
}


@pytest.mark.parametrize("broker", ["rabbitmq", "kafka"])
def test_a_broker_goes_away(broker):
    """Every client of the broker, before and after."""
    names = [name for name, (its_broker, _) in CLIENTS.items() if its_broker == broker]
    for name in names:
        pytest.importorskip(name)
        pytest.importorskip(f"opentelemetry.instrumentation.{name}")
    clients = {}
    running = importlib.import_module(f"tests.support.{broker}")
    try:
        with getattr(running, broker)() as port:
            for name in names:
                clients[name] = subprocess.Popen(
                    [sys.executable, str(SCRIPT), name, str(port)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            for client in clients.values():
                assert client.stdout.readline() == "published\n", client.stderr.read()
        told = {name: client.communicate("go on\n", timeout=60) for name, client in clients.items()}
    finally:
        for client in clients.values():
            client.kill()
            client.communicate()
    for name, (answer, errors) in told.items():
        found = json.loads(answer or errors)
        # Of the others, which of their errors it is, is a matter of what their loops have come to know meanwhile.
        assert found["traced"] == found["plain"] or name in {"aio_pika", "kafka"}, found
        assert found["traced"].endswith(("Error", "Closed", "Exception")), found
        assert found["unchanged"], name
        first, second = found["statuses"]
        assert (first, second in CLIENTS[name][1]) == ("UNSET", True), found
