"""Error messages for a protocol mismatch: what the peer seems to speak, and which setting to change.

No message quotes the response, which may hold credentials.
"""

from __future__ import annotations

import re
import ssl

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
_TLS_RECORDS = (
    b"\x15\x03",
    b"\x16\x03",
)  # alert and handshake; neither a frame nor a text line begins like that
_SETTINGS, _GOAWAY = 4, 7
_FRAME_HEADER = 9
# OpenSSL's reasons for bytes that are not a TLS record, in its various versions.
_NOT_TLS = frozenset(
    {
        *("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "BAD_RECORD_TYPE"),
        *("HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "ENCRYPTED_LENGTH_TOO_LONG", "DATA_LENGTH_TOO_LONG"),
        "UNEXPECTED_MESSAGE",
    }
)
# Responses of nginx, Go and Apache to plaintext on a TLS port.
_PLAINTEXT_REFUSED = re.compile(rb"HTTPS (?:port|server)|SSL-enabled server")
_TLS_EXPECTED = f"TLS is expected there: write https:// in {_ENDPOINT}"
_NO_HTTP2 = (
    f"no HTTP/2 is spoken there: is it the port of OTLP over HTTP? "
    f"Set {_PROTOCOL}=http/protobuf, or use the port of OTLP over gRPC, usually 4317, in {_ENDPOINT}"
)
_HTTP2 = (
    f"HTTP/2 is spoken there: is it the port of OTLP over gRPC? "
    f"Set {_PROTOCOL}=grpc, or use the port of OTLP over HTTP, usually 4318, in {_ENDPOINT}"
)
_NO_HTTP = f"no HTTP is spoken there: look at {_ENDPOINT} and {_PROTOCOL}"


def not_http2(response: bytes) -> str:
    """Return the message for a response that is not HTTP/2."""
    return tls_expected(response) or _NO_HTTP2


def tls_expected(response: bytes) -> str:
    """Return the message if a response or its body shows that TLS is expected, else an empty string."""
    found = response.startswith(_TLS_RECORDS) or _PLAINTEXT_REFUSED.search(response)
    return _TLS_EXPECTED if found else ""


def not_http1(response: bytes) -> str:
    """Return the message for a response that does not begin like HTTP/1.1."""
    if response.startswith(_TLS_RECORDS):
        return _TLS_EXPECTED
    frame = len(response) >= _FRAME_HEADER and response[3] in (_SETTINGS, _GOAWAY) and not any(response[5:9])
    return _HTTP2 if frame else _NO_HTTP


def closed_early(protocol: str, *, secure: bool) -> str:
    """Return the message for a peer that closed a new connection without a response."""
    other = "" if secure else " Does it expect TLS (https://)?"
    return (
        f"the server closed the connection without an answer: does it speak {protocol}?{other} "
        f"Look at {_ENDPOINT} and {_PROTOCOL}"
    )


def tls_error(error: ssl.SSLError, *, http2: bool) -> str:
    """Return the message for a failed handshake, with the setting to change where the protocols differ."""
    text = str(error)
    if error.reason in _NOT_TLS:
        return f"no TLS is spoken there: write http:// in {_ENDPOINT} for plaintext ({text})"
    if error.reason and error.reason.endswith("NO_APPLICATION_PROTOCOL"):
        return f"{_NO_HTTP2 if http2 else _HTTP2} ({text})"
    return text


def error_text(error: BaseException) -> str:
    """Return a message for an error. Only the text of `OSError` is used: others may quote the response."""
    if isinstance(error, OSError):
        return str(error) or type(error).__name__
    return f"the request failed, or its response cannot be read ({type(error).__name__})"
