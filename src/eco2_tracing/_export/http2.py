"""One call at a time over an HTTP/2 connection (RFC 9113), on the h2 state machine."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import H2Error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eco2_tracing._export.connection import Connection

# h2's own library writes each header of a call to its log at DEBUG, credentials among them.
_hpack_logger = logging.getLogger("hpack")
_hpack_logger.setLevel(_hpack_logger.level or logging.INFO)

_MAX_ANSWER_BYTES = 64 * 1024
_MAX_STREAMS = 1 << 30
_FRAME_HEADER = 9
_GOAWAY = 7
_MAX_FRAME = 1 << 14
# doc/PROTOCOL-HTTP2.md, "Errors": the gRPC status that stands for an HTTP/2 error code.
_STATUS_OF_RESET = {
    ErrorCodes.REFUSED_STREAM: 14,
    ErrorCodes.CANCEL: 1,
    ErrorCodes.ENHANCE_YOUR_CALM: 8,
    ErrorCodes.INADEQUATE_SECURITY: 7,
}


@dataclass(slots=True)
class Answer:
    """A response.

    Attributes:
        status: The HTTP status.
        headers: Headers and trailers together.
        data: The body, as far as it is of interest.
        reset: gRPC status of a stream that the server broke off.
        reusable: The connection can take another call.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    data: bytes = b""
    reset: int | None = None
    reusable: bool = True
    ended: bool = False


class Http2Session:
    """An HTTP/2 client on a connected stream.

    Args:
        connection: The stream; its deadline bounds each call.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._answer = Answer()
        self._going_away = False
        self._stream = 0
        self._received = b""
        self._h2.initiate_connection()

    def is_usable(self) -> bool:
        """Read what came in meanwhile, and tell whether the server still takes calls."""
        while (data := self._connection.glance()) is not None:
            if not data:
                return False
            try:
                self._receive(data)
                self._flush()
            except (H2Error, OSError):
                return False
        return not self._going_away

    def call(self, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        """Send a request and read its whole answer.

        Args:
            headers: Pseudo-headers first.
            body: All of the body.

        Raises:
            TimeoutError: The deadline of the connection passed.
            OSError: The connection broke, or the peer does not speak HTTP/2.
        """
        answer = self._answer = Answer()
        stream = self._stream = self._h2.get_next_available_stream_id()
        try:
            self._h2.send_headers(stream, headers)
            self._upload(stream, body)
            self._flush()
            while not answer.ended:
                self._read()
        except (H2Error, OSError) as error:
            # What goes wrong behind a whole answer costs the connection; sending again would duplicate spans.
            answer.reusable = False
            if not answer.ended:
                if isinstance(error, OSError):
                    raise
                raise ConnectionError(f"no HTTP/2 is spoken there ({error})") from None
        if self._going_away or stream > _MAX_STREAMS or answer.reset is not None:
            answer.reusable = False
        return answer

    def _upload(self, stream: int, body: bytes) -> None:
        at, size = 0, len(body)
        while at < size and not self._answer.ended:
            room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
            if room <= 0:
                self._flush()
                self._read()
                continue
            self._h2.send_data(stream, body[at : at + room])
            at += room
        if self._answer.ended:
            # Answered before it was all sent: the rest is not wanted, nor is this connection.
            self._answer.reusable = False
        else:
            self._h2.end_stream(stream)

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data:
            self._connection.sendall(data)

    def _read(self) -> None:
        data = self._connection.recv()
        if not data:
            raise ConnectionError("the server closed the connection")
        self._receive(data)
        self._flush()

    def _receive(self, data: bytes) -> None:
        """Hand on whole frames, but for GOAWAY: h2 takes it as the end, while the server finishes what it took on.

        Raises:
            ConnectionError: The server will not answer the running call.
        """
        received = self._received + data
        while len(received) >= _FRAME_HEADER and len(received) >= (size := _frame_size(received)):
            frame, received = received[:size], received[size:]
            if frame[3] == _GOAWAY:
                self._going_away = True
                if _last_stream(frame) < self._stream and not self._answer.ended:
                    raise ConnectionError("the server closed the connection before it took the call")
            else:
                self._handle(self._h2.receive_data(frame))
        self._received = received

    def _handle(self, events: Sequence[Event]) -> None:
        answer = self._answer
        for event in events:
            if isinstance(event, ResponseReceived | TrailersReceived):
                self._headers(event)
            elif isinstance(event, DataReceived):
                if event.data and len(answer.data) < _MAX_ANSWER_BYTES:
                    answer.data += event.data
                if event.stream_id and event.flow_controlled_length:
                    self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                answer.ended = True
            elif isinstance(event, StreamReset):
                code = event.error_code
                # NO_ERROR: "answered already, send no more of the request" (RFC 9113, 8.1).
                if code != ErrorCodes.NO_ERROR or "grpc-status" not in answer.headers:
                    answer.reset = _STATUS_OF_RESET.get(ErrorCodes(code), 13) if code in _CODES else 13
                answer.ended = True

    def _headers(self, event: ResponseReceived | TrailersReceived) -> None:
        for name, value in event.headers or ():
            text, content = _text(name), _text(value)
            if text == ":status":
                self._answer.status = int(content)
            else:
                self._answer.headers[text] = content


_CODES = frozenset(map(int, ErrorCodes))


def _text(field_part: bytes | str) -> str:
    return field_part if isinstance(field_part, str) else field_part.decode("utf-8", "replace")


def _frame_size(frame: bytes) -> int:
    """Return the whole size of the frame that begins here (RFC 9113, 4.1).

    Raises:
        ConnectionError: It is larger than we allow, as the text of an HTTP/1 answer looks.
    """
    size = int.from_bytes(frame[:3], "big")
    if size > _MAX_FRAME:
        raise ConnectionError("no HTTP/2 is spoken there: is it the port of OTLP over gRPC?")
    return _FRAME_HEADER + size


def _last_stream(goaway: bytes) -> int:
    """Return the last stream that the server takes on (RFC 9113, 6.8)."""
    return int.from_bytes(goaway[_FRAME_HEADER : _FRAME_HEADER + 4], "big") & 0x7FFF_FFFF
