"""What an answer shows about the protocol of its peer, and what to set instead, in words without a byte of it."""

from __future__ import annotations

import re
import ssl

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")  # an alert, a handshake: no frame and no line begins so
_SETTINGS, _GOAWAY = 4, 7
_FRAME_HEADER = 9
# OpenSSL's reasons for bytes that are no TLS record, across its versions.
_NOT_TLS = frozenset(
    {
        "WRONG_VERSION_NUMBER",
        "RECORD_LAYER_FAILURE",
        "PACKET_LENGTH_TOO_LONG",
        "BAD_RECORD_TYPE",
        "HTTP_REQUEST",
        "HTTPS_PROXY_REQUEST",
        "ENCRYPTED_LENGTH_TOO_LONG",
        "DATA_LENGTH_TOO_LONG",
        "UNEXPECTED_MESSAGE",
    }
)
# nginx, Go and Apache answer so to plaintext on a port for TLS.
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


def not_http2(answer: bytes) -> str:
    """Return what is wrong with an answer that is no HTTP/2."""
    return tls_expected(answer) or _NO_HTTP2


def tls_expected(answer: bytes) -> str:
    """Return what to say where an answer or its body shows that TLS is expected; nothing otherwise."""
    found = answer.startswith(_TLS_RECORDS) or _PLAINTEXT_REFUSED.search(answer)
    return _TLS_EXPECTED if found else ""


def not_http1(answer: bytes) -> str:
    """Return what is wrong with an answer that does not begin as HTTP/1.1 does."""
    if answer.startswith(_TLS_RECORDS):
        return _TLS_EXPECTED
    frame = len(answer) >= _FRAME_HEADER and answer[3] in (_SETTINGS, _GOAWAY) and not any(answer[5:9])
    return _HTTP2 if frame else _NO_HTTP


def closed_early(protocol: str, *, secure: bool) -> str:
    """Return what to say of a peer that closed a new connection without a byte.

    Args:
        protocol: What was spoken to it.
        secure: It was spoken over TLS.
    """
    other = "" if secure else " Does it expect TLS (https://)?"
    return (
        f"the server closed the connection without an answer: does it speak {protocol}?{other} "
        f"Look at {_ENDPOINT} and {_PROTOCOL}"
    )


def tls_error(error: ssl.SSLError, *, http2: bool) -> str:
    """Return a failed handshake in words, with its cure where the peer does not speak what we asked for.

    Args:
        error: The error.
        http2: HTTP/2 was offered, else HTTP/1.1.
    """
    text = str(error)
    if error.reason in _NOT_TLS:
        return f"no TLS is spoken there: write http:// in {_ENDPOINT} for plaintext ({text})"
    if error.reason and error.reason.endswith("NO_APPLICATION_PROTOCOL"):
        return f"{_NO_HTTP2 if http2 else _HTTP2} ({text})"
    return text


def in_words(error: BaseException) -> str:
    """Return a failure in words: other errors than those of the system may quote the answer."""
    if isinstance(error, OSError):
        return str(error) or type(error).__name__
    return f"the request failed, or its answer cannot be read ({type(error).__name__})"
