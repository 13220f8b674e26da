"""The list of differences between lean and contrib spans, as in docs/instrumentation.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.differential.server_cases import SERVER_CASES

Change = tuple[Any, Any]
"""contrib's value, and ours; ``None`` is absence."""


@dataclass(frozen=True)
class Correction:
    """One difference, in all of its cases.

    Args:
        title: As the docs call it.
        why: The reason for the correction.
        cases: For each case the span fields and attributes that differ. A case that starts with
            ``client:`` stands for httpx and httpx2, sync and async.
    """

    title: str
    why: str
    cases: Mapping[str, Mapping[str, Change]]


def _route(contrib: str, ours: str) -> dict[str, Change]:
    return {"name": (f"GET {contrib}", f"GET {ours}"), "http.route": (contrib, ours)}


def _raised(name: str) -> dict[str, Change]:
    return {"error.type": ("500", name)}


def _twice(name: str) -> dict[str, Change]:
    return {"events": ([name, name], [name])}


def _left(description: str, name: str) -> dict[str, Change]:
    return {"status": ("ERROR", "UNSET"), "description": (description, None), "events": ([name, name], [])}


_TENANT = "/tenants/{tenant}"
_FILES = _route("/files/{path:path}", "/files/{path}")
_CLOSED = "starlette.websockets.WebSocketDisconnect"
_UNREADABLE = (
    "UnicodeDecodeError: 'unicodeescape' codec can't decode bytes in position 1-2: truncated \\xXX escape"
)
_SHORT = "peer closed connection without sending complete message body (received 3 bytes, expected 10)"
_BROKEN = {"httpx": "httpx.RemoteProtocolError", "httpx2": "httpx2.RemoteProtocolError"}
_GONE = "starlette.requests.ClientDisconnect"


def _address(scope: Mapping[str, Any]) -> Change | None:
    """Contrib's address and ours, if they differ."""
    server = scope.get("server", ("10.9.8.7", 8080))
    return None if server is None or server[1] == 80 else (f"{server[0]}:{server[1]}", server[0])


CORRECTIONS = (
    Correction(
        "`server.address` has no port",
        "contrib writes the port into the address, unless it is 80, although the conventions have `server.port`.",
        {
            f"server: {case.name}": {"server.address": change}
            for case in SERVER_CASES
            if case.name != "excluded" and (change := _address(case.scope))
        },
    ),
    Correction(
        "Full routes of mounts",
        "contrib stops at the mount, so all requests of a mounted application share one route.",
        {
            "server: mounted FastAPI": _route(_TENANT, _TENANT + "/items/{item_id}"),
            "server: 422 in a mounted FastAPI": _route(_TENANT, _TENANT + "/items/{item_id}"),
            "server: exception in a mounted FastAPI": _route(_TENANT, _TENANT + "/boom"),
            "server: root path in a mounted FastAPI": _route(_TENANT, _TENANT + "/items/{item_id}"),
            "server: mounted Starlette": _route("/starlette", "/starlette/stars/{name}"),
            "server: mount in a mounted Starlette": _route("/starlette", "/starlette/deep/stars/{name}"),
        },
    ),
    Correction(
        "Routes without converters",
        "`:path` belongs to Python's routing, and FastAPI's OpenAPI document and telemetry leave it out too.",
        {"server: path with slashes": _FILES, "server: path that only looks encoded": _FILES},
    ),
    Correction(
        "`error.type` is the exception's class",
        "contrib repeats the status code `500`, or writes nothing if the response had begun.",
        {
            "server: exception in an included router": _raised("RuntimeError"),
            "server: exception in a mounted FastAPI": _raised("RuntimeError"),
            "server: unhandled exception": _raised("RuntimeError"),
            "server: unhandled exception in a sync endpoint": _raised("RuntimeError"),
            "server: captured headers, error": _raised("RuntimeError"),
            "server: dependency error": _raised("LookupError"),
            "server: streaming that fails": {"error.type": (None, "ValueError")},
            "server: background task that fails": {"error.type": (None, "OSError")},
            "server: WebSocket that fails": {"error.type": (None, "RuntimeError")},
        },
    ),
    Correction(
        "The server span has an exception once",
        "contrib records an exception twice if the response had begun, and never in a mounted application.",
        {
            "server: exception in a mounted FastAPI": {"events": ([], ["RuntimeError"])},
            "server: streaming that fails": _twice("ValueError"),
            "server: WebSocket that fails": _twice("RuntimeError"),
        },
    ),
    Correction(
        "A peer that disconnects is no error",
        "Starlette raises an exception when a peer disconnects, and contrib records it as an error.",
        {
            "server: WebSocket that the client closes": _left("WebSocketDisconnect: (1000, None)", _CLOSED),
            "server: WebSocket whose client goes away": _left("WebSocketDisconnect: (1001, None)", _CLOSED),
            "server: WebSocket that breaks off": _left("WebSocketDisconnect: (1006, None)", _CLOSED),
            "server: streaming to a client that has gone": _left("ClientDisconnect: ", _GONE),
        },
    ),
    Correction(
        "Hostile headers do no harm",
        "contrib decodes bytes that are not UTF-8 as Python escapes, so that `\\x` fails the request.",
        {
            "server: hostile headers": {
                "status": ("ERROR", "UNSET"),
                "description": (_UNREADABLE, None),
                "events": (["UnicodeDecodeError"], []),
                "http.response.status_code": (None, 200),
                "http.request.header.x-captured": (None, ["ÿ\\xzz"]),
                "user_agent.original": ("ÿþA cafÃ", "ÿþ\\x41 cafÃ"),
                "test.hook": (None, "http"),
            },
        },
    ),
    Correction(
        "Credentials among captured headers are masked",
        "A pattern such as `x-.*` also captures credentials, so a credential's name is enough to mask it.",
        {
            "server: captured credentials": {
                "http.request.header.x-captured-tokens": (["hush"], ["[REDACTED]"])
            },
            "client: captured credentials": {
                "http.request.header.x-captured-tokens": (["hush"], ["[REDACTED]"])
            },
        },
    ),
    Correction(
        "Captured header values stay whole",
        "contrib's httpx package splits values at commas, which dates and user agents contain.",
        {
            "client: captured headers": {
                "http.request.header.x-captured": (["one", "two"], ["one, two"]),
                "http.response.header.x-reply": (["one", "two", "three"], ["one", "two, three"]),
            },
        },
    ),
    Correction(
        "A body that breaks off is an error",
        "contrib ends the span of a call when the response begins, before the body fails.",
        {
            "client: body that breaks off": {
                "status": ("UNSET", "ERROR"),
                "description": (None, f"RemoteProtocolError: {_SHORT}"),
                "events": ([], [_BROKEN]),
                "error.type": (None, "RemoteProtocolError"),
            },
        },
    ),
    Correction(
        "Masking changes the secret alone",
        "contrib also changes the rest of the query when it masks one value.",
        {
            "client: query with contrib's secrets": {
                "url.full": (
                    "http://127.0.0.1:PORT/status/200?sig=REDACTED&a=+b&X-Goog-Signature=REDACTED",
                    "http://127.0.0.1:PORT/status/200?sig=REDACTED&a=%20b&X-Goog-Signature=REDACTED",
                )
            },
        },
    ),
)

NO_MESSAGE_SPANS = "No send and receive spans"
"""contrib's spans for each ASGI message, which lean mode has none of."""

HEADER_NAMES = "Captured headers have the convention's names"
"""``http.request.header.cf-ray``; contrib writes ``cf_ray``."""

REDACTED_QUERIES = "Redacted queries"
"""What contrib writes unmasked; masked in both modes here, by the pipeline."""


def expected(case: str) -> dict[str, Change]:
    """The differences of a case, over all corrections."""
    prefix, _, name = case.partition(": ")
    key = case if prefix == "server" else f"client: {name}"
    changes: dict[str, Change] = {}
    for correction in CORRECTIONS:
        changes |= correction.cases.get(key, {})
    package = prefix.partition(" ")[0]
    return {name: (_by(package, one), _by(package, other)) for name, (one, other) in changes.items()}


def _by(package: str, value: Any) -> Any:
    """Select by httpx and httpx2."""
    return (
        [each.get(package) if isinstance(each, dict) else each for each in value]
        if type(value) is list
        else value
    )
