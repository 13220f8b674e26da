"""One call at a time over an HTTP/2 connection (RFC 9113), on the h2 state machine."""

from __future__ import annotations

import logging
import re
from contextlib import suppress
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
from h2.settings import SettingCodes, Settings

from eco2_tracing._export.result import RefusedError
from eco2_tracing._export.transport import mismatch
from eco2_tracing._export.transport.grpc_response import Answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eco2_tracing._export.transport.connection import Connection

# h2's own library writes each header of a call to its log at DEBUG, credentials among them.
_hpack_logger = logging.getLogger("hpack")
_hpack_logger.setLevel(_hpack_logger.level or logging.INFO)

_MAX_ANSWER_BYTES = 64 * 1024
_MAX_STREAMS = 1 << 30
_FRAME_HEADER = 9
_SETTINGS, _GOAWAY = 4, 7
_ACK = 1
_MAX_FRAME = 1 << 14
_SLICE_S = 0.25
# doc/PROTOCOL-HTTP2.md, "Errors": the gRPC status that stands for an HTTP/2 error code.
_STATUS_OF_RESET = {
    ErrorCodes.REFUSED_STREAM: 14,
    ErrorCodes.CANCEL: 1,
    ErrorCodes.ENHANCE_YOUR_CALM: 8,
    ErrorCodes.INADEQUATE_SECURITY: 7,
}


class Http2Session:
    """An HTTP/2 client on a connected stream.

    Args:
        connection: The stream; its deadline bounds each call.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        # What was not asked for would be read as a part of the answer.
        settings = {SettingCodes(code): value for code, value in self._h2.local_settings.items()}
        settings[SettingCodes.ENABLE_PUSH] = 0
        self._h2.local_settings = Settings(client=True, initial_values=settings)
        self._answer = Answer()
        self._configured = False
        self._going_away = False
        self._stream = 0
        self._received = b""
        self._silent = True
        self._waits_for = ""
        self._h2.initiate_connection()

    def is_usable(self) -> bool:
        """Read what came in meanwhile, and tell whether the server still takes calls."""
        while (data := self._connection.glance()) is not None:
            if not data:
                return False
            try:
                self._receive(data)
                self._flush()
            except Exception:  # noqa: BLE001 - h2 raises more than H2Error for what peers send
                return False
        return not self._going_away

    def await_settings(self, seconds: float) -> None:
        """Send the preface and wait for the server's SETTINGS, so many seconds at most: some servers never send any.

        Some refuse a request that comes before their SETTINGS are acknowledged, as nginx does.

        Raises:
            OSError: The connection broke, or the peer does not speak HTTP/2.
        """
        try:
            self._flush()
            left = 0.0 if self._configured else seconds
            while left > 0 and not self._configured:
                data = self._connection.recv_for(min(left, _SLICE_S))
                if data is None:
                    left -= _SLICE_S
                else:
                    self._take(data)
        except Exception as error:  # noqa: BLE001 - as in `call`
            raise self._in_words(error) from None

    def call(self, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        """Send a request and read its whole answer.

        Args:
            headers: Pseudo-headers first.
            body: All of the body.

        Raises:
            RefusedError: The server did not take the call.
            TimeoutError: The deadline of the connection passed.
            OSError: The connection broke, or the peer does not speak HTTP/2.
        """
        answer = self._answer = Answer()
        try:
            self._await_stream()
            self._stream = self._h2.get_next_available_stream_id()
            self._h2.send_headers(self._stream, headers)
            self._upload(self._stream, body)
            self._flush()
            while not answer.ended:
                self._read()
        except Exception as error:  # noqa: BLE001 - h2 raises more than H2Error for what peers send
            # What goes wrong behind a whole answer costs the connection; sending again would duplicate spans.
            answer.reusable = False
            if not answer.ended:
                raise self._in_words(error) from None
        if self._going_away or self._stream > _MAX_STREAMS:
            answer.reusable = False
        return answer

    def _in_words(self, error: Exception) -> OSError:
        """Return an error without a byte of the answer, which those of h2 may quote."""
        if isinstance(error, TimeoutError) and self._waits_for:
            return TimeoutError(f"timed out: {self._waits_for}")
        if isinstance(error, OSError):
            return error
        return ConnectionError(f"the server breaks the rules of HTTP/2 ({type(error).__name__})")

    def _await_stream(self) -> None:
        """Wait until the server allows one more stream.

        Raises:
            RefusedError: The server takes no more calls on this connection.
        """
        self._stream = 0
        self._waits_for = "the server allows no more streams (SETTINGS_MAX_CONCURRENT_STREAMS)"
        while self._h2.open_outbound_streams >= self._h2.remote_settings.max_concurrent_streams:
            self._flush()
            self._read()
        self._waits_for = ""
        if self._going_away:
            raise RefusedError("the server closed the connection before it took the call")

    def _upload(self, stream: int, body: bytes) -> None:
        at, size = 0, len(body)
        while at < size and not self._answer.ended:
            room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
            if room <= 0:
                self._waits_for = "the server takes no more of the request (flow control)"
                self._flush()
                self._read()
                continue
            self._h2.send_data(stream, body[at : at + room])
            at += room
        self._waits_for = ""
        if not self._answer.ended:
            self._h2.end_stream(stream)
        elif self._answer.reset is None:
            # Answered before it was all sent: the rest is not wanted (RFC 9113, 8.1).
            with suppress(H2Error):  # the server may have reset it as well
                self._h2.reset_stream(stream, ErrorCodes.CANCEL)

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data:
            self._connection.sendall(data)

    def _read(self) -> None:
        self._take(self._connection.recv())

    def _take(self, data: bytes) -> None:
        """Handle what was received; nothing means that the server closed the connection."""
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
        """Hand on whole frames, but for GOAWAY: h2 takes it as the end, while the server finishes what it took on.

        Raises:
            RefusedError: The server will not answer the running call.
            ConnectionError: The peer does not speak HTTP/2.
        """
        self._silent = False
        received = self._received + data
        while len(received) >= _FRAME_HEADER and len(received) >= (size := self._frame_size(received)):
            frame, received = received[:size], received[size:]
            if frame[3] == _GOAWAY:
                self._going_away = True
                if _last_stream(frame) < self._stream and not self._answer.ended:
                    raise RefusedError("the server closed the connection before it took the call")
            else:
                self._handle(self._h2.receive_data(frame))
                if frame[3] == _SETTINGS and not frame[4] & _ACK:
                    self._configured = True
        self._received = received

    def _frame_size(self, frame: bytes) -> int:
        """Return the whole size of the frame that begins here (RFC 9113, 4.1).

        Raises:
            ConnectionError: It is larger than we allow, as the text of an HTTP/1 answer looks.
        """
        size = int.from_bytes(frame[:3], "big")
        if size > _MAX_FRAME:
            raise ConnectionError("a frame is too large" if self._configured else mismatch.not_http2(frame))
        return _FRAME_HEADER + size

    def _handle(self, events: Sequence[Event]) -> None:
        answer = self._answer
        for event in events:
            stream = getattr(event, "stream_id", None)
            if isinstance(event, DataReceived) and stream and event.flow_controlled_length:
                self._h2.acknowledge_received_data(event.flow_controlled_length, stream)
            # What still comes for an earlier call, as a reset behind its answer, is nothing to this one.
            if stream != self._stream or answer.ended:
                continue
            if isinstance(event, ResponseReceived | TrailersReceived):
                self._headers(event)
            elif isinstance(event, DataReceived):
                if event.data and len(answer.data) < _MAX_ANSWER_BYTES:
                    answer.data += event.data
            elif isinstance(event, StreamEnded):
                answer.ended = True
            elif isinstance(event, StreamReset):
                self._reset(event.error_code)

    def _reset(self, code: ErrorCodes | int | None) -> None:
        """Note that the server broke off the stream: the connection stays in use (RFC 9113, 5.4.2)."""
        answer = self._answer
        answer.ended = True
        # NO_ERROR: "answered already, send no more of the request" (RFC 9113, 8.1).
        if code != ErrorCodes.NO_ERROR or "grpc-status" not in answer.headers:
            answer.reset = _STATUS_OF_RESET.get(ErrorCodes(code), 13) if code in _CODES else 13
            answer.overloaded = code == ErrorCodes.ENHANCE_YOUR_CALM
            answer.reusable = code != ErrorCodes.HTTP_1_1_REQUIRED

    def _headers(self, event: ResponseReceived | TrailersReceived) -> None:
        for name, value in event.headers or ():
            text, content = _text(name), _text(value)
            if text != ":status":
                self._answer.headers[text] = content
            elif re.fullmatch("[1-9][0-9]{2}", content):
                self._answer.status = int(content)
            else:
                raise ConnectionError("the answer has an HTTP status that is no number of three digits")


_CODES = frozenset(map(int, ErrorCodes))


def _text(field_part: bytes | str) -> str:
    return field_part if isinstance(field_part, str) else field_part.decode("utf-8", "replace")


def _last_stream(goaway: bytes) -> int:
    """Return the last stream that the server takes on (RFC 9113, 6.8)."""
    return int.from_bytes(goaway[_FRAME_HEADER : _FRAME_HEADER + 4], "big") & 0x7FFF_FFFF
