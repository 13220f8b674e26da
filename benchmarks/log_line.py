"""CPU time of one log line, from the log call to the stream: plain text against JSON of several makes.

Run it as ``python benchmarks/log_line.py``. All formatters write through the same kind of
handler, in turns within one run, so that the ratios hold on any machine.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import TextIO

from opentelemetry import trace
from pythonjsonlogger.json import JsonFormatter
from pythonjsonlogger.orjson import OrjsonFormatter

from eco2_tracing import logs
from eco2_tracing.logs._request import RequestState, current_request, enter_request
from eco2_tracing.logs._shared import set_service
from eco2_tracing.logs._stdout import StdoutHandler

PLAIN = "%(asctime)s %(levelname)s %(name)s %(message)s"
OWN = ("EcsFormatter", "configure_logging()")
CALLS = 2_000
ROUNDS = 41


def logger_with(name: str, handler: logging.Handler) -> logging.Logger:
    """Make a logger that writes through one handler alone."""
    logger = logging.getLogger(f"benchmark.{name}")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    return logger


def devnull() -> TextIO:
    """Open a text stream that is flushed to nowhere, and lives as long as the run."""
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - closed at exit


def stream_handler(formatter: logging.Formatter) -> logging.Handler:
    """Make the standard handler, whose stream encodes and flushes as stdout does."""
    handler = logging.StreamHandler(devnull())
    handler.setFormatter(formatter)
    return handler


def own_handler() -> logging.Handler:
    """Make the handler that `configure_logging` installs."""
    handler = StdoutHandler()
    handler.stream = devnull()
    return handler


def cpu_us(call: Callable[[], None]) -> float:
    """Measure the CPU time of one call, in µs."""
    begin = time.process_time_ns()
    for _ in range(CALLS):
        call()
    return (time.process_time_ns() - begin) / CALLS / 1000


def main() -> None:
    """Measure and print the table."""
    set_service("auth-api", "1.2.0", "production", "auth-api-7d9f")
    formatters: dict[str, logging.Handler] = {
        "text": stream_handler(logging.Formatter(PLAIN)),
        "python-json-logger": stream_handler(JsonFormatter(PLAIN)),
        "python-json-logger, orjson": stream_handler(OrjsonFormatter(PLAIN)),
        "EcsFormatter": stream_handler(logs.EcsFormatter()),
        "configure_logging()": own_handler(),
    }
    if importlib.util.find_spec("ecs_logging"):
        import ecs_logging

        formatters["ecs-logging"] = stream_handler(ecs_logging.StdlibFormatter())
    messages: dict[str, Callable[[logging.Logger], Callable[[], None]]] = {
        "plain": lambda log: lambda: log.info("user %s logged in from %s", "bob", "10.0.0.1"),
        "key=value": lambda log: lambda: log.info("order created: id=%d items=%d total=%s", 7, 3, "12.50"),
    }
    own_factory = logging.getLogRecordFactory()
    span = trace.NonRecordingSpan(trace.SpanContext(1 << 100, 1 << 50, is_remote=False))
    messages["fields bound"] = messages["plain"]
    messages["extra="] = lambda log: (
        lambda: log.info("user logged in", extra={"user_id": "7", "plan": "free"})
    )
    for traced in (False, True):
        for title, make in messages.items():
            token = enter_request(RequestState())
            if title == "fields bound":
                logs.bind_log_fields(user_id="7", plan="free")
            calls = {name: make(logger_with(name, handler)) for name, handler in formatters.items()}
            times: dict[str, list[float]] = {name: [] for name in calls}
            for _ in range(ROUNDS):
                for name, call in calls.items():
                    # What the record factory of this library costs is part of its own lines alone.
                    logging.setLogRecordFactory(own_factory if name in OWN else logging.LogRecord)
                    if traced:
                        with trace.use_span(span):
                            times[name].append(cpu_us(call))
                    else:
                        times[name].append(cpu_us(call))
            current_request.reset(token)
            base = statistics.median(times["text"])
            print(f"\n{title}, {'in a trace' if traced else 'no trace'}, µs a line")
            for name, taken in times.items():
                median = statistics.median(taken)
                print(f"  {name:28} {median:6.2f}  {median / base:5.2f} x text")


if __name__ == "__main__":
    sys.exit(main())
