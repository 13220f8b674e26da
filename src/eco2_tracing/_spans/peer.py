"""Detects exceptions that the peer caused by a disconnect or an unreadable message. They are not server errors."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from pydantic import ValidationError
from starlette.requests import ClientDisconnect
from starlette.websockets import WebSocketDisconnect

from eco2_tracing._guard import guarded, internal_failure
from eco2_tracing._spans.exceptions import passed_through

_CHAIN_LIMIT = 16
_LONGEST_MESSAGE = 1 << 20
_DISCONNECTS = frozenset({"http.disconnect", "websocket.disconnect"})
_SOCKETS = "starlette.websockets"
_REQUESTS = frozenset({"starlette.requests", "starlette.formparsers", "starlette.convertors"})
_DECODERS = frozenset({"codecs", "encodings", "json"})
_UNREADABLE = (ValueError, LookupError, RecursionError)

Receive = Callable[[], Awaitable[dict[str, Any]]]


class Peer:
    """The state of a connection's peer, from the messages that the application has received.

    Args:
        receive: The server's ``receive``.

    Attributes:
        has_disconnected: True once the application has received the disconnect message.
        is_body_complete: True once the application has received the whole request body.
        message: The last message that the application received from a WebSocket.
    """

    __slots__ = ("_receive", "has_disconnected", "is_body_complete", "message")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.has_disconnected = self.is_body_complete = False
        self.message: dict[str, Any] | None = None

    async def receive(self) -> dict[str, Any]:
        """Return the next message of the server and update the state."""
        message = await self._receive()
        try:
            kind = message["type"]
            if kind == "http.request":
                if not message.get("more_body"):
                    self.is_body_complete = True
            elif kind == "websocket.receive":
                self.message = message
            elif kind in _DISCONNECTS:
                self.has_disconnected = True
        except Exception:  # noqa: BLE001 - the application gets even a malformed message
            internal_failure("reading a message of the peer")
        return message


def is_peer_error(exception: BaseException | None, send: Any = None, peer: Peer | None = None) -> bool:
    """Return True if an exception was caused by a disconnect or by an unreadable WebSocket message.

    Starlette raises ``WebSocketDisconnect`` and ``ClientDisconnect`` for a disconnect. The same exceptions raised by
    the application are errors. Another exception counts if it was raised ``from`` one of them. The server's ``send``,
    if known, raises an ``OSError`` after a disconnect.
    """
    if exception is None:
        return False
    with guarded("looking for the cause of an exception"):
        # Cancellation in the same exception group is not an error either.
        members = [one for one in _members(exception) if _is_error(one)]
        return bool(members) and all(
            any(_is_one_peer_error(cause, send, peer) for cause in _causes(one)) for one in members
        )
    return False


def is_peer_error_response(send: Any, peer: Peer | None) -> bool:
    """Return True if the peer caused the response with a status of 500 or above that starts now.

    Starlette's exception handlers respond while the exception is being handled. Middleware may respond afterwards. An
    incomplete upload is detected in both cases.
    """
    cause = sys.exc_info()[1]
    if cause is None:
        return peer is not None and peer.has_disconnected and not peer.is_body_complete
    return is_peer_error(cause, send, peer)


def is_malformed_request(exception: BaseException | None) -> bool:
    """Return True if Starlette could not parse the HTTP request, for example its body."""
    return exception is not None and any(
        issubclass(type(cause), _UNREADABLE) and _raising_module(cause) in _REQUESTS
        for cause in _causes(exception)
    )


def is_background_task_error(exception: BaseException) -> bool:
    """Return True if a background task raised the exception. Background tasks have their own spans."""
    return "starlette.background" in _modules(exception)


def _is_error(exception: BaseException) -> bool:
    return issubclass(type(exception), Exception)


def _members(exception: BaseException, depth: int = 0) -> Iterator[BaseException]:
    """Yield the exceptions of nested exception groups, or the exception itself."""
    if issubclass(type(exception), BaseExceptionGroup) and depth < _CHAIN_LIMIT:
        for member in exception.exceptions[:_CHAIN_LIMIT]:  # type: ignore[attr-defined] # a group has them
            yield from _members(member, depth + 1)
    else:
        yield exception


def _causes(exception: BaseException) -> Iterator[BaseException]:
    """Yield an exception and the exceptions that it was raised ``from``."""
    cause: BaseException | None = exception
    for _ in range(_CHAIN_LIMIT):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__


def _modules(exception: BaseException) -> list[str]:
    """Return the modules of the traceback's frames, outermost first."""
    modules = []
    traceback = exception.__traceback__
    while traceback is not None:
        modules.append(str(traceback.tb_frame.f_globals.get("__name__")))
        traceback = traceback.tb_next
    return modules


def _raising_module(exception: BaseException) -> str:
    """Return the module that raised the exception, or that called the decoder of the standard library that did."""
    for module in reversed(_modules(exception)):
        if module.partition(".")[0] not in _DECODERS:
            return module
    return ""


def _is_one_peer_error(exception: BaseException, send: Any, peer: Peer | None) -> bool:
    kind = type(exception)
    if issubclass(kind, (WebSocketDisconnect, ClientDisconnect)):
        return _raising_module(exception).startswith("starlette.")
    if issubclass(kind, OSError) and passed_through(exception, send):
        return True
    if _raising_module(exception) == _SOCKETS and issubclass(kind, _UNREADABLE):
        return True
    if peer is None:
        return False
    if peer.has_disconnected and issubclass(kind, RuntimeError):
        # The application called receive or send again after the disconnect.
        return _raising_module(exception) == _SOCKETS or passed_through(exception, send)
    return peer.message is not None and _is_decode_error_of(exception, peer.message)


def _is_decode_error_of(exception: BaseException, message: dict[str, Any]) -> bool:
    """Return True if the exception is about decoding this message."""
    rejected = _rejected_input(exception)
    text, data = message.get("text"), message.get("bytes")
    if not rejected and type(exception).__name__.endswith("DecodeError"):
        return rejected == text or not _is_json(text or data or "")
    if rejected is None:
        return False
    if rejected in (text, data):
        return True
    return isinstance(data, bytes) and rejected == data.decode("utf-8", "replace")


def _is_json(message: Any) -> bool:
    """Return True if a message is JSON; False for a very long message, which is not parsed.

    It is used for decoders whose exceptions do not hold the rejected input, such as msgspec's.
    """
    if len(message) > _LONGEST_MESSAGE:
        return False
    try:
        json.loads(message)
    except (ValueError, RecursionError):
        return False
    return True


def _rejected_input(exception: BaseException) -> str | bytes | None:
    """Return the input that a decoder's exception holds; ``None`` if it holds none."""
    kind = type(exception)
    rejected: Any = None
    if issubclass(kind, json.JSONDecodeError):
        rejected = exception.doc  # type: ignore[attr-defined] # by its class
    elif issubclass(kind, UnicodeDecodeError):
        rejected = exception.object  # type: ignore[attr-defined] # by its class
    elif issubclass(kind, ValidationError):
        error = exception.errors(include_url=False, include_context=False)[0]  # type: ignore[attr-defined] # by its class
        rejected = error["input"] if error["type"] == "json_invalid" else None
    return rejected if isinstance(rejected, str | bytes) else None
