"""Hostile values at every place of the tracing and logging APIs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

log = logging.getLogger("reliability.values")


class Unreadable:
    """Raises from every method."""

    def __str__(self) -> str:
        raise RuntimeError("no str")

    __repr__ = __bool__ = __len__ = __iter__ = __hash__ = __eq__ = __str__  # type: ignore[assignment]


class UnreadableError(Exception):
    """An exception that cannot be printed."""

    __str__ = __repr__ = Unreadable.__str__


class UnreadableText(str):
    """A `str` that raises when it is used."""

    __slots__ = ()
    __str__ = encode = __len__ = lower = Unreadable.__str__  # type: ignore[assignment]


def _recursive() -> list[Any]:
    held: list[Any] = []
    held.append({"held": held})
    return held


def _deep() -> list[Any]:
    held: list[Any] = []
    for _ in range(400):
        held = [held]
    return held


def _circular() -> Exception:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    return first


VALUES: dict[str, Callable[[], Any]] = {
    "surrogates": lambda: "\ud800 \udfff",
    "10 MB": lambda: "x" * 10_000_000,
    "10 MB of bytes": lambda: b"\xff" * 10_000_000,
    "recursive": _recursive,
    "deep": _deep,
    "liar": Unreadable,
    "liars": lambda: [1, Unreadable()],
    "mapping of liars": lambda: {"a": Unreadable(), 5: UnreadableText("x")},
    "lying text": lambda: UnreadableText("text"),
    "lying error": lambda: UnreadableError("x"),
    "circular causes": _circular,
    "2^70": lambda: 2**70,
    "-2^70": lambda: -(2**70),
    "4000 digits and more": lambda: 10**5000,
    "NaN": lambda: float("nan"),
    "infinity": lambda: float("-inf"),
    "bytes": lambda: b"\xff\x00",
    "none": lambda: None,
    "mixed": lambda: [1, "a", None, 2.5, [b"x"]],
    "NUL": lambda: "a\x00b",
    "object": object,
    "set": lambda: {1, 2},
    "a million": lambda: [1] * 1_000_000,
    "endless": lambda: iter(int, 1),
    "marks of direction": lambda: "\u202eabc\u2028\x85",
}


def _name(span: Any, value: Any) -> None:
    from opentelemetry import trace

    span.update_name(value)
    with trace.get_tracer("values").start_as_current_span(value):
        pass


def _attribute(span: Any, value: Any) -> None:
    from opentelemetry import trace

    span.set_attribute("value", value)
    span.set_attributes({"first": 1, "value": value, "last": 2})
    with trace.get_tracer("values").start_as_current_span("inner", attributes={"value": value}):
        pass


def _key(span: Any, value: Any) -> None:
    span.set_attribute(value, "key")


def _event(span: Any, value: Any) -> None:
    span.add_event("event", {"first": 1, "value": value})
    span.add_event(value)


def _status(span: Any, value: Any) -> None:
    from opentelemetry.trace import StatusCode

    span.set_status(StatusCode.ERROR, value)


def _link(span: Any, value: Any) -> None:
    span.add_link(span.get_span_context(), {"value": value})


def _exception(span: Any, value: Any) -> None:
    for error in (ValueError(value), UnreadableError(value), value):
        span.record_exception(error, {"value": value})


def _raised(span: Any, value: Any) -> None:
    raise value if isinstance(value, Exception) else ValueError(value)


def _raised_inside(span: Any, value: Any) -> None:
    from opentelemetry import trace

    try:
        with trace.get_tracer("values").start_as_current_span("inner"):
            raise UnreadableError(value)  # noqa: TRY301 - the failure of a library
    except UnreadableError:
        pass


def _message(span: Any, value: Any) -> None:
    log.info(value)
    log.info("%s", value)
    log.info("%d %s", value)  # noqa: PLE1206 - on purpose


def _field(span: Any, value: Any) -> None:
    log.info("m", extra={"field": value, "a.b": value})
    log.info({"message": value})
    log.error("m", exc_info=ValueError(value))


def _bound(span: Any, value: Any) -> None:
    import os

    if os.environ["RELIABILITY_MODE"] == "ours":
        from eco2_tracing import bind_log_fields

        bind_log_fields(bound=value)
    log.info("m")


# The following call injects the baggage.
PLACES: dict[str, Callable[[Any, Any], None]] = {
    "name": _name,
    "attribute": _attribute,
    "attribute's key": _key,
    "event": _event,
    "status": _status,
    "link": _link,
    "recorded exception": _exception,
    "exception": _raised,
    "exception inside": _raised_inside,
    "log message": _message,
    "log fields": _field,
    "bound log field": _bound,
}


def add(app: Any) -> None:
    """Add the routes."""
    import httpx
    from fastapi import Response
    from opentelemetry import baggage, context, trace

    client = httpx.AsyncClient(trust_env=False)

    @app.get("/fight")
    async def fight(place: str, value: str) -> dict[str, str]:
        PLACES[place](trace.get_current_span(), VALUES[value]())
        return {"fought": f"{place} with {value}"}

    @app.get("/baggage")
    async def carry(value: str, url: str) -> dict[str, int]:
        held = baggage.set_baggage("value", VALUES[value](), baggage.set_baggage("other", "1"))
        token = context.attach(held)
        try:
            return {"status": (await client.get(url)).status_code}
        finally:
            context.detach(token)

    async def refused(request: Any, error: Exception) -> Response:
        return Response(f"refused: {type(error).__name__}", 418)

    app.add_exception_handler(RuntimeError, refused)
