"""packing: consumes the topic `orders`. The processing of a message is in the trace of the request that sent it."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from contextlib import closing

from eco2_tracing import bind_log_fields, configure_logging, configure_tracing, span

# isort: split
from kafka import KafkaConsumer

configure_logging()
configure_tracing(service_name="packing", service_version="1.0.0")

log = logging.getLogger(__name__)


def main() -> None:
    # Kubernetes ends a pod with SIGTERM. A consumer that leaves its group hands its partitions over at once.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    servers = os.environ["KAFKA_SERVERS"].split(",")
    consumer = KafkaConsumer(
        "orders", bootstrap_servers=servers, group_id="packing", auto_offset_reset="earliest"
    )
    log.info("Waiting for orders")
    with closing(consumer):
        # The span of a message ends when the next one is asked for.
        for message in consumer:
            order = json.loads(message.value)
            bind_log_fields(order_id=order["id"])
            with span("pack order", attributes={"order.id": order["id"]}):
                log.info("Order packed")


if __name__ == "__main__":
    main()
