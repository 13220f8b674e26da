"""orders: a Flask service that stores orders in MySQL, caches them in Redis and announces them on Kafka.

Flask itself is traced by OpenTelemetry's instrumentation, everything else by eco2-tracing.
"""

from __future__ import annotations

import logging

from eco2_tracing import bind_log_fields, configure_logging, configure_tracing, span

# isort: split
import stores
from flask import Flask, Response, jsonify, request
from opentelemetry.instrumentation.flask import FlaskInstrumentor

configure_logging()
# Before instrument_app of Flask, which then follows the stable semantic conventions.
configure_tracing(service_name="orders", service_version="1.0.0")

log = logging.getLogger(__name__)
app = Flask(__name__)
FlaskInstrumentor().instrument_app(app, excluded_urls="/health")


@app.post("/orders")
def create() -> tuple[Response, int]:
    order = request.get_json()
    with span("validate order", attributes={"order.item": order["item"]}):
        if order["quantity"] < 1:
            return jsonify(error="quantity must be at least 1"), 400
    order["id"] = stores.insert(order)
    bind_log_fields(order_id=order["id"])
    stores.cache(order)
    stores.announce(order)
    log.info("Order created")
    return jsonify(order), 201


@app.get("/orders/<int:order_id>")
def read(order_id: int) -> tuple[Response, int]:
    order = stores.cached(order_id) or stores.select(order_id)
    if order is None:
        return jsonify(error=f"no order {order_id}"), 404
    return jsonify(order), 200


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}
