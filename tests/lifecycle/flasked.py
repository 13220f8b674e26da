"""A Flask service as the page of servers says, for gunicorn's greenlets and for uWSGI."""

from __future__ import annotations

import os
import time

from eco2_tracing import configure_logging, configure_tracing, span

configure_logging()
configure_tracing(service_name="flasked")

from flask import Flask  # noqa: E402 - after eco2_tracing, as the pages say
from opentelemetry.instrumentation.flask import FlaskInstrumentor  # noqa: E402 - as above

app = Flask(__name__)
FlaskInstrumentor().instrument_app(app, excluded_urls="/health")

if "SPAN_AT_IMPORT" in os.environ:
    with span("loaded"):
        pass


@app.get("/work/<int:item>")
def work(item: int) -> str:
    """Return the process id after letting other greenlets run."""
    with span("inner"):
        time.sleep(0.01)
    return str(os.getpid())
