"""CPU time of one log line, from the log call to the stream: plain text against JSON of several makes.

All formatters write through the same kind of handler in this process, in turns.
"""

from __future__ import annotations

import contextvars
import importlib.util
import logging
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from benchmarks.cost._results import Record
from benchmarks.cost._run import Options

PART, TEXT, OURS = "line", "text", "configure_logging()"
PLAIN = "%(asctime)s %(levelname)s %(name)s %(message)s"
OWN = (OURS, "EcsFormatter")
ACCESS = "uvicorn.access"


def devnull() -> TextIO:
    """Open a text stream that is flushed to nowhere, and lives as long as the run."""
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - closed at exit


def stream_handler(formatter: logging.Formatter) -> logging.Handler:
    """Make the standard handler, whose stream encodes and flushes as stdout does."""
    handler = logging.StreamHandler(devnull())
    handler.setFormatter(formatter)
    return handler


def own_handler() -> logging.Handler:
    """Make the handler that `configure_logging` installs, and its record factory."""
    import eco2_tracing

    eco2_tracing.configure_logging(service_name="auth-api")
    (handler,) = logging.getLogger().handlers
    handler.stream = devnull()  # type: ignore[attr-defined] - a StreamHandler's
    return handler


def handlers() -> dict[str, logging.Handler]:
    """Make a handler for each formatter; those that are not installed are left out."""
    from eco2_tracing import logs

    made = {TEXT: stream_handler(logging.Formatter(PLAIN))}
    if importlib.util.find_spec("pythonjsonlogger"):
        from pythonjsonlogger.json import JsonFormatter

        made["python-json-logger"] = stream_handler(JsonFormatter(PLAIN))
    if importlib.util.find_spec("pythonjsonlogger") and importlib.util.find_spec("orjson"):
        from pythonjsonlogger.orjson import OrjsonFormatter

        made["python-json-logger, orjson"] = stream_handler(OrjsonFormatter(PLAIN))
    if importlib.util.find_spec("ecs_logging"):
        import ecs_logging

        made["ecs-logging"] = stream_handler(ecs_logging.StdlibFormatter())
    made["EcsFormatter"] = stream_handler(logs.EcsFormatter())
    return made | {OURS: own_handler()}


Line = Callable[[logging.Logger], None]
# What is logged, by row; the last two are uvicorn's access lines.
LINES: dict[str, Line] = {
    "message": lambda log: log.info("user %s logged in from %s", "bob", "10.0.0.1"),
    "message with key=value": lambda log: log.info("order created: id=%d items=%d total=%s", 7, 3, "12.50"),
    "two bound fields": lambda log: log.info("user %s logged in from %s", "bob", "10.0.0.1"),
    "extra= of two fields": lambda log: log.info("user logged in", extra={"user_id": "7", "plan": "free"}),
    "access line": lambda log: log.info(
        '%s - "%s %s HTTP/%s" %d', "10.0.3.11:4711", "GET", "/items/7", "1.1", 200
    ),
    "access line with a query": lambda log: log.info(
        '%s - "%s %s HTTP/%s" %d', "10.0.3.11:4711", "GET", "/items/7?full=true", "1.1", 200
    ),
}


def in_request(row: str) -> Any:
    """Enter a trace, with bound fields where the row has them."""
    from opentelemetry import trace

    import eco2_tracing

    if row == "two bound fields":
        eco2_tracing.bind_log_fields(user_id="7", plan="free")
    return trace.use_span(trace.NonRecordingSpan(trace.SpanContext(1 << 100, 1 << 50, is_remote=False)))


def cpu_us(log: logging.Logger, line: Line, count: int) -> float:
    """Measure the CPU time of one line, in µs."""
    begin = time.process_time_ns()
    for _ in range(count):
        line(log)
    return (time.process_time_ns() - begin) / count / 1000


def measure(options: Options) -> Iterator[Record]:
    """Measure all formatters, round after round."""
    factory = logging.getLogRecordFactory()
    made = handlers()
    own_factory = logging.getLogRecordFactory()

    def measure_row(row: str) -> list[Record]:
        rounds, count = options.rounds or (7 if options.quick else 21), 1000
        log = logging.getLogger(ACCESS if row.startswith("access line") else "benchmark")
        log.setLevel(logging.INFO)
        filters = log.filters
        records = []
        with in_request(row):
            for number in range(-1, rounds):
                for name, handler in made.items():
                    # Own lines go to the root logger's handler, through the filter of servers' loggers.
                    own = name == OURS
                    log.handlers, log.propagate, log.filters = (
                        [] if own else [handler],
                        own,
                        filters if own else [],
                    )
                    # What this library's record factory costs is part of its own lines alone.
                    logging.setLogRecordFactory(own_factory if name in OWN else factory)
                    figures = {"cpu_us": cpu_us(log, LINES[row], count)}
                    records.append(Record(PART, row, f"{options.run}.{number}", name, figures))
        return records[len(made) :]  # without the first round, which warms up

    for row in LINES:
        # Fields that are bound in this context do not reach the next row.
        yield from contextvars.copy_context().run(measure_row, row)
    logging.setLogRecordFactory(own_factory)
