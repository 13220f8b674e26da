"""A service that publishes twice: once while its broker is there, and once when it is told to go on.

It prints a line after each, the second one about what it came to, without tracing and with it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys

from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_instrumentation

from eco2_tracing import TracingSettings, configure_tracing, span
from eco2_tracing.testing import CapturedSpans

HOST = "127.0.0.1"


def outcome(call):
    """What a call came to: the name of what it raised, or of its result's type."""
    try:
        return type(call()).__name__
    except Exception as error:
        return type(error).__name__


def pika(port):
    """A channel for each publication: the first failure closes it."""
    import pika

    parameters = pika.ConnectionParameters(HOST, port)
    channels = [pika.BlockingConnection(parameters).channel() for _ in range(2)]
    return [lambda channel=channel: channel.basic_publish("", "orders", b"tea") for channel in channels]


def aio_pika(port):
    """The same; publishing has a limit, for a connection that waits to be robust."""
    import aio_pika

    loop = asyncio.new_event_loop()

    async def exchange():
        connection = await aio_pika.connect(f"amqp://guest:guest@{HOST}:{port}/")
        return (await connection.channel()).default_exchange

    def publish(exchange):
        message = aio_pika.Message(b"tea")
        loop.run_until_complete(exchange.publish(message, "orders", mandatory=False, timeout=5))

    exchanges = [loop.run_until_complete(exchange()) for _ in range(2)]
    return [lambda exchange=exchange: publish(exchange) for exchange in exchanges]


def kafka(port):
    """One producer, which tells by its future."""
    import kafka

    limits = {"max_block_ms": 1000, "request_timeout_ms": 1000, "delivery_timeout_ms": 1500, "linger_ms": 0}
    producer = kafka.KafkaProducer(bootstrap_servers=f"{HOST}:{port}", **limits)
    return [lambda: producer.send("orders", b"tea").get(30)] * 2


def confluent_kafka(port):
    """One producer, which tells by a callback."""
    import confluent_kafka

    producer = confluent_kafka.Producer({"bootstrap.servers": f"{HOST}:{port}", "message.timeout.ms": 8000})

    def publish():
        failures = []
        producer.produce(
            "orders", b"tea", on_delivery=lambda error, _: failures.extend([error] if error else [])
        )
        producer.flush(30)
        if failures:
            raise confluent_kafka.KafkaException(failures[0])

    return [publish] * 2


def main(client, port):
    """Publish, wait, publish again."""
    logging.disable()
    captured = CapturedSpans()
    configure_tracing(settings=TracingSettings(traces_exporter=("none",)), span_processors=(captured,))
    first, second = globals()[client](int(port))
    with span("request") as request:
        first()
        print("published", flush=True)
        sys.stdin.readline()
        with suppress_instrumentation():
            plain = outcome(first)
        traced = outcome(second)
        unchanged = trace.get_current_span() is request
    statuses = [found.status.name for found in captured.spans if found.name.endswith(" orders")]
    print(
        json.dumps({"plain": plain, "traced": traced, "unchanged": unchanged, "statuses": statuses}),
        flush=True,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
