"""Which exceptions mean that the peer disconnected."""

from __future__ import annotations

import asyncio
import json

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.websockets import WebSocket, WebSocketDisconnect

from eco2_tracing._spans.peer import Peer, is_malformed_request, is_peer_error


def disconnect() -> BaseException:
    """The exception of Starlette for a client that disconnects during an upload."""

    async def receive():
        return {"type": "http.disconnect"}

    with pytest.raises(ClientDisconnect) as caught:
        asyncio.run(Request({"type": "http"}, receive).body())
    return caught.value


def raised_from(cause: BaseException) -> BaseException:
    """An exception of the application with a cause."""
    try:
        raise ValueError("cannot go on") from cause
    except ValueError as error:
        return error


class CauselessError(Exception):
    """An exception whose cause cannot be read."""

    @property
    def __cause__(self):
        """Raise."""
        raise RuntimeError("no cause")


def nested(error: Exception, depth: int) -> Exception:
    """An exception in nested groups."""
    for _ in range(depth):
        error = ExceptionGroup("tasks", [error])
    return error


@pytest.mark.parametrize(
    ("error", "is_end"),
    [
        (None, False),
        (disconnect(), True),
        (raised_from(disconnect()), True),
        (nested(disconnect(), 3), True),
        (ExceptionGroup("tasks", [disconnect(), disconnect()]), True),
        (BaseExceptionGroup("tasks", [disconnect(), asyncio.CancelledError()]), True),
        (BaseExceptionGroup("tasks", [asyncio.CancelledError()]), False),
        (ExceptionGroup("tasks", [disconnect(), ValueError()]), False),
        (nested(disconnect(), 40), False),
        (ClientDisconnect(), False),
        (WebSocketDisconnect(1000), False),
        (OSError(), False),
        (CauselessError(), False),
        (asyncio.CancelledError(), False),
    ],
)
def test_which_exceptions_mean_a_disconnect(error, is_end):
    """Those of Starlette, alone, as a cause or in groups; others are the application's."""
    assert is_peer_error(error) is is_end


def test_chain_of_causes_is_limited():
    """It could be endless."""
    error = disconnect()
    for _ in range(40):
        error = raised_from(error)
    assert not is_peer_error(error)


@pytest.mark.parametrize("message", [None, {}, {"type": "other"}, {"type": ["unhashable"]}])
def test_invalid_messages_of_servers(message):
    """The application receives them unchanged."""

    async def receive():
        return message

    peer = Peer(receive)
    assert asyncio.run(peer.receive()) is message
    assert (peer.has_disconnected, peer.is_body_complete, peer.message) == (False, False, None)


def test_completeness_of_a_body():
    """It is complete with the last message."""
    parts = iter([{"type": "http.request", "more_body": True}, {"type": "http.request"}])

    async def receive():
        return next(parts)

    peer = Peer(receive)
    asyncio.run(peer.receive())
    assert not peer.is_body_complete
    asyncio.run(peer.receive())
    assert peer.is_body_complete


@pytest.mark.parametrize(
    ("decode", "message", "is_end"),
    [
        (lambda got: json.loads(got["text"]), {"text": "{"}, True),
        (lambda got: json.loads(got["bytes"]), {"bytes": b"{"}, True),
        (lambda got: got["bytes"].decode(), {"bytes": b"\xff"}, True),
        (lambda got: json.loads("["), {"text": "{"}, False),
        (lambda got: int(got["text"]), {"text": "{"}, False),
    ],
)
def test_undecodable_messages(decode, message, is_end):
    """A decoder's exception contains the message; others are the application's."""
    peer = Peer(None)
    peer.message = message
    with pytest.raises(ValueError) as caught:
        decode(message)
    assert is_peer_error(caught.value, None, peer) is is_end


def test_send_after_the_end():
    """Starlette raises because the connection has ended."""

    async def receive():
        return {"type": "websocket.disconnect", "code": 1005}

    async def use(peer):
        socket = WebSocket({"type": "websocket"}, peer.receive, None)
        socket.client_state = socket.application_state = socket.client_state.CONNECTED
        await socket.receive()
        await socket.receive()

    peer = Peer(receive)
    with pytest.raises(RuntimeError) as caught:
        asyncio.run(use(peer))
    assert is_peer_error(caught.value, None, peer)
    assert not is_peer_error(caught.value)
    assert not is_malformed_request(None)
