"""Sequential calls over an HTTP/2 connection (RFC 9113), on the h2 state machine."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded, StreamReset, TrailersReceived
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings

from eco2_tracing._export.result import RefusedError
from eco2_tracing._export.transport import mismatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from eco2_tracing._export.transport.connection import Connection

# hpack logs every header at DEBUG, credentials included.
_hpack_logger = logging.getLogger("hpack")
_hpack_logger.setLevel(_hpack_logger.level or logging.INFO)

_MAX_RESPONSE_BYTES = 64 * 1024
_MAX_STREAMS = 1 << 30
_FRAME_HEADER = 9
_SETTINGS, _GOAWAY = 4, 7
_ACK = 1
_MAX_FRAME = 1 << 14
_SLICE_S = 0.25
# doc/PROTOCOL-HTTP2.md, "Errors": the gRPC status that stands for an HTTP/2 error code.
_STATUS_OF_RESET: dict[int | None, int] = {
    ErrorCodes.REFUSED_STREAM: 14,
    ErrorCodes.CANCEL: 1,
    ErrorCodes.ENHANCE_YOUR_CALM: 8,
    ErrorCodes.INADEQUATE_SECURITY: 7,
}


@dataclass(slots=True)
class GrpcResponse:
    """The response to one gRPC call.

    Attributes:
        status: The HTTP status.
        headers: Headers and trailers together.
        data: The first bytes of the body.
        reset: gRPC status of a stream that the server reset.
        overloaded: The server reset it with ENHANCE_YOUR_CALM.
        reusable: The connection can take another call.
        ended: The stream has ended.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    data: bytes = b""
    reset: int | None = None
    overloaded: bool = False
    reusable: bool = True
    ended: bool = False

    @property
    def has_status(self) -> bool:
        """True unless the stream was reset before its gRPC status."""
        return self.reset is None or "grpc-status" in self.headers


class Http2Session:
    """An HTTP/2 client on a connected stream."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        # A pushed stream would be read as part of the response.
        settings = {SettingCodes(code): value for code, value in self._h2.local_settings.items()}
        settings[SettingCodes.ENABLE_PUSH] = 0
        self._h2.local_settings = Settings(client=True, initial_values=settings)
        self._response = GrpcResponse()
        self._configured = False
        self._going_away = False
        self._stream = 0
        self._received = b""
        self._silent = True
        self._waits_for = ""
        self._h2.initiate_connection()

    def is_usable(self) -> bool:
        """Handle the frames that arrived while idle, and return whether the server takes further calls."""
        with suppress(OSError), self._errors():
            while (data := self._connection.glance()) is not None:
                if not data:
                    return False
                self._receive(data)
                self._flush()
            return not self._going_away
        return False

    def await_settings(self, seconds: float) -> None:
        """Send the preface and wait for the server's SETTINGS.

        nginx refuses a request that arrives before its SETTINGS are acknowledged. Other servers never send any.

        Raises:
            OSError: The connection broke, or the peer does not speak HTTP/2.
        """
        with self._errors():
            self._flush()
            left = 0.0 if self._configured else seconds
            while left > 0 and not self._configured:
                data = self._connection.recv_for(min(left, _SLICE_S))
                if data is None:
                    left -= _SLICE_S
                else:
                    self._take(data)

    def call(self, headers: Sequence[tuple[str, str]], body: bytes) -> GrpcResponse:
        """Send a request and read its whole response.

        Raises:
            RefusedError: The server did not process the call.
            TimeoutError: The deadline of the connection passed.
            OSError: The connection broke, or the peer does not speak HTTP/2.
        """
        response = self._response = GrpcResponse()
        try:
            with self._errors():
                self._await_stream()
                self._stream = self._h2.get_next_available_stream_id()
                self._h2.send_headers(self._stream, headers)
                self._upload(self._stream, body)
                self._flush()
                while not response.ended:
                    self._take(self._connection.recv())
        except OSError:
            # An error after a whole response breaks the connection; sending again would duplicate spans.
            response.reusable = False
            if not response.ended:
                raise
        if self._going_away or self._stream > _MAX_STREAMS:
            response.reusable = False
        return response

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Make every error an `OSError` that does not quote the response, as those of h2 may."""
        try:
            yield
        except TimeoutError:
            raise TimeoutError(f"timed out: {self._waits_for}" if self._waits_for else "timed out") from None
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - h2 raises more than H2Error for what peers send
            raise ConnectionError(f"the server breaks the rules of HTTP/2 ({type(error).__name__})") from None

    def _await_stream(self) -> None:
        """Wait until the server allows one more stream.

        Raises:
            RefusedError: The server takes no more calls on this connection.
        """
        self._stream = 0
        self._waits_for = "the server allows no more streams (SETTINGS_MAX_CONCURRENT_STREAMS)"
        while self._h2.open_outbound_streams >= self._h2.remote_settings.max_concurrent_streams:
            self._flush()
            self._take(self._connection.recv())
        self._waits_for = ""
        if self._going_away:
            raise RefusedError("the server closed the connection before it took the call")

    def _upload(self, stream: int, body: bytes) -> None:
        at, size = 0, len(body)
        while at < size and not self._response.ended:
            room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
            if room <= 0:
                self._waits_for = "the server takes no more of the request (flow control)"
                self._flush()
                self._take(self._connection.recv())
                continue
            self._h2.send_data(stream, body[at : at + room])
            at += room
        self._waits_for = ""
        if not self._response.ended:
            self._h2.end_stream(stream)
        elif self._response.reset is None:
            # The response ended before the request was sent: the server wants no more of it (RFC 9113, 8.1).
            with suppress(H2Error):  # the server may have reset it as well
                self._h2.reset_stream(stream, ErrorCodes.CANCEL)

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data:
            self._connection.sendall(data)

    def _take(self, data: bytes) -> None:
        """Handle received bytes; ``b""`` means that the server closed the connection."""
        if not data:
            if self._received and not self._configured:
                raise ConnectionError(mismatch.not_http2(self._received))
            if self._silent:
                secure = self._connection.is_secure
                raise ConnectionError(mismatch.closed_early("OTLP over gRPC", secure=secure))
            raise ConnectionError("the server closed the connection")
        self._receive(data)
        self._flush()

    def _receive(self, data: bytes) -> None:
        """Pass whole frames to h2, except GOAWAY: h2 ends the connection, but the server finishes accepted calls.

        Raises:
            RefusedError: The server will not process the running call.
            ConnectionError: The peer does not speak HTTP/2.
        """
        self._silent = False
        received = self._received + data
        while len(received) >= _FRAME_HEADER and len(received) >= (size := self._frame_size(received)):
            frame, received = received[:size], received[size:]
            if frame[3] == _GOAWAY:
                self._going_away = True
                # The last stream that the server will process (RFC 9113, 6.8).
                last = int.from_bytes(frame[_FRAME_HEADER : _FRAME_HEADER + 4], "big") & 0x7FFF_FFFF
                if last < self._stream and not self._response.ended:
                    raise RefusedError("the server closed the connection before it took the call")
            else:
                self._handle(self._h2.receive_data(frame))
                if frame[3] == _SETTINGS and not frame[4] & _ACK:
                    self._configured = True
        self._received = received

    def _frame_size(self, frame: bytes) -> int:
        """Return the whole size of the frame that begins here (RFC 9113, 4.1).

        Raises:
            ConnectionError: It is too large. The text of an HTTP/1 response looks like a large frame.
        """
        size = int.from_bytes(frame[:3], "big")
        if size > _MAX_FRAME:
            raise ConnectionError("a frame is too large" if self._configured else mismatch.not_http2(frame))
        return _FRAME_HEADER + size

    def _handle(self, events: Sequence[Event]) -> None:
        response = self._response
        for event in events:
            stream = getattr(event, "stream_id", None)
            if isinstance(event, DataReceived) and stream and event.flow_controlled_length:
                self._h2.acknowledge_received_data(event.flow_controlled_length, stream)
            # Frames of an earlier call may still arrive, such as a reset after its response.
            if stream != self._stream or response.ended:
                continue
            if isinstance(event, ResponseReceived | TrailersReceived):
                self._headers(event)
            elif isinstance(event, DataReceived):
                if event.data and len(response.data) < _MAX_RESPONSE_BYTES:
                    response.data += event.data
            elif isinstance(event, StreamEnded):
                response.ended = True
            elif isinstance(event, StreamReset):
                self._reset(event.error_code)

    def _reset(self, code: ErrorCodes | int | None) -> None:
        """Record that the server reset the stream. The connection stays usable (RFC 9113, 5.4.2)."""
        response = self._response
        response.ended = True
        # NO_ERROR: the response is complete, send no more of the request (RFC 9113, 8.1).
        if code != ErrorCodes.NO_ERROR or "grpc-status" not in response.headers:
            response.reset = _STATUS_OF_RESET.get(code, 13)
            response.overloaded = code == ErrorCodes.ENHANCE_YOUR_CALM
            response.reusable = code != ErrorCodes.HTTP_1_1_REQUIRED

    def _headers(self, event: ResponseReceived | TrailersReceived) -> None:
        for name, value in event.headers or ():
            text, content = _text(name), _text(value)
            if text != ":status":
                self._response.headers[text] = content
            elif re.fullmatch("[1-9][0-9]{2}", content):
                self._response.status = int(content)
            else:
                raise ConnectionError("the HTTP status of the response is not a number of three digits")


def _text(field_part: bytes | str) -> str:
    return field_part if isinstance(field_part, str) else field_part.decode("utf-8", "replace")
