"""Which exceptions the peer caused, whatever the exceptions and the server's messages are."""

from __future__ import annotations

import asyncio
import json

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.websockets import WebSocket, WebSocketDisconnect

from eco2_tracing._spans.peer import Peer, is_malformed_request, is_peer_end


def left() -> BaseException:
    """What Starlette raises when a client leaves during an upload."""

    async def receive():
        return {"type": "http.disconnect"}

    with pytest.raises(ClientDisconnect) as caught:
        asyncio.run(Request({"type": "http"}, receive).body())
    return caught.value


def raised_from(cause: BaseException) -> BaseException:
    """An exception of the application's that names its cause."""
    try:
        raise ValueError("cannot go on") from cause
    except ValueError as error:
        return error


class LyingError(Exception):
    """An exception whose cause cannot be read."""

    @property
    def __cause__(self):
        """Raise."""
        raise RuntimeError("no cause")


def nested(error: Exception, depth: int) -> Exception:
    """An exception in groups in groups."""
    for _ in range(depth):
        error = ExceptionGroup("tasks", [error])
    return error


@pytest.mark.parametrize(
    ("error", "is_end"),
    [
        (None, False),
        (left(), True),
        (raised_from(left()), True),
        (nested(left(), 3), True),
        (ExceptionGroup("tasks", [left(), left()]), True),
        (BaseExceptionGroup("tasks", [left(), asyncio.CancelledError()]), True),
        (BaseExceptionGroup("tasks", [asyncio.CancelledError()]), False),
        (ExceptionGroup("tasks", [left(), ValueError()]), False),
        (nested(left(), 40), False),
        (ClientDisconnect(), False),
        (WebSocketDisconnect(1000), False),
        (OSError(), False),
        (LyingError(), False),
        (asyncio.CancelledError(), False),
    ],
)
def test_which_exceptions_are_the_peers(error, is_end):
    """Those that Starlette raised, alone, as a cause or in groups; what cannot be read is the application's."""
    assert is_peer_end(error) is is_end


def test_a_long_chain_of_causes_is_not_followed_to_its_end():
    """It could be endless."""
    error = left()
    for _ in range(40):
        error = raised_from(error)
    assert not is_peer_end(error)


@pytest.mark.parametrize("message", [None, {}, {"type": "other"}, {"type": ["unhashable"]}])
def test_messages_of_servers_that_break_the_rules(message):
    """The application gets them as they are."""

    async def receive():
        return message

    peer = Peer(receive)
    assert asyncio.run(peer.receive()) is message
    assert (peer.has_left, peer.has_sent, peer.message) == (False, False, None)


def test_what_was_sent_of_a_body():
    """It is complete with the last part."""
    parts = iter([{"type": "http.request", "more_body": True}, {"type": "http.request"}])

    async def receive():
        return next(parts)

    peer = Peer(receive)
    asyncio.run(peer.receive())
    assert not peer.has_sent
    asyncio.run(peer.receive())
    assert peer.has_sent


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
def test_messages_that_the_application_cannot_decode(decode, message, is_end):
    """The decoder's exception says what it was; other exceptions are the application's."""
    peer = Peer(None)
    peer.message = message
    with pytest.raises(ValueError) as caught:
        decode(message)
    assert is_peer_end(caught.value, None, peer) is is_end


def test_another_send_after_the_end():
    """Starlette refuses it, because the connection has ended."""

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
    assert is_peer_end(caught.value, None, peer)
    assert not is_peer_end(caught.value)
    assert not is_malformed_request(None)
