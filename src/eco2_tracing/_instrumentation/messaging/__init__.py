"""Messages of Kafka and RabbitMQ: a message carries its producer's trace context, and its consumer continues it.

OpenTelemetry's instrumentations of these clients were tested with real brokers (0.66b1). Their hooks are replaced
because of these defects:

- kafka-python, aiokafka and confluent-kafka: headers are written into the list that the application passed. A list
  that is used twice grows with every message, and consumers find the first message's context in all of them. With
  other sequences the call fails, or the context is lost.
- Their consumer spans end before the application has the message, so that the processing and its errors are in no
  trace. kafka-python's ``poll``, ``get`` of aio-pika and ``basic_get`` of pika have no span at all; pika's ``consume``
  leaves the last message's context attached.
- pika: publishing has two spans. confluent-kafka: classes that were imported before are not traced.
- A trace header that is no text hides the others. The trace headers of a forwarded message are sent again.

Spans follow OpenTelemetry's messaging conventions (https://opentelemetry.io/docs/specs/semconv/messaging/).
"""

from __future__ import annotations

from eco2_tracing._instrumentation.common.replacement import Replacement

__all__ = ["MESSAGING"]

MESSAGING = {
    "kafka": Replacement(f"{__name__}.kafka:instrument_kafka_python"),
    "aiokafka": Replacement(f"{__name__}.kafka:instrument_aiokafka"),
    "confluent_kafka": Replacement(f"{__name__}.confluent:instrument"),
    "pika": Replacement(f"{__name__}.amqp:instrument_pika"),
    "aio-pika": Replacement(f"{__name__}.amqp:instrument_aio_pika"),
    "celery": Replacement(f"{__name__}.celery:instrument", keep=True),
}
"""The replaced hooks, by the name of the instrumentation."""
