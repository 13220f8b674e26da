"""Messages of Kafka and RabbitMQ: the producer's trace goes with them, and their consumers continue it.

Contrib's instrumentations of these clients were run against real brokers first (0.66b1). What they do to a
service is why they are switched off again and ours stand in, under contrib's own switch:

- kafka-python, aiokafka and confluent-kafka write into the list of headers that the service gave. One that is used
  twice grows with every message, and consumers find the first message's trace in all of them. Other
  sequences fail the call, or lose the trace.
- Their consumers' spans end before the service has seen the message: what it does with it, failures included, is in
  no trace. kafka-python's ``poll``, ``get`` of aio-pika and ``basic_get`` of pika have no span at all; pika's
  ``consume`` leaves its last message's context behind for good.
- pika's publishing has two spans, one below the other; confluent-kafka's classes are traced only where they
  are imported after the switch.
- A trace header that is no text hides the others, and those that a forwarded message came with are sent on.

Spans follow OpenTelemetry's messaging conventions (https://opentelemetry.io/docs/specs/semconv/messaging/).
"""

from __future__ import annotations

from eco2_tracing._instrumentation.messaging.switch import MESSAGING

__all__ = ["MESSAGING"]
