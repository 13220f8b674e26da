"""The meaning of responses by the OTLP specification."""

from __future__ import annotations

import base64
import math
import struct

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage  # type: ignore[import-untyped]  # no types installed
from google.protobuf.duration_pb2 import Duration  # type: ignore[import-untyped]  # the same
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import example, given
from hypothesis import strategies as st

from eco2_tracing._export.result import (
    MAX_SERVER_DELAY_S,
    ExportResult,
    grpc_code_of_http,
    grpc_result,
    http_result,
    success,
)
from eco2_tracing._protobuf import block, fields, varint
from tests.export.receivers import partial_success

RETRY_INFO = RetryInfo(retry_delay=Duration(seconds=2, nanos=500_000_000))
RETRYABLE = {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
CREDENTIALS = {"UNAUTHENTICATED", "PERMISSION_DENIED"}


def text(message: bytes) -> str:
    """Encode a binary header as gRPC does: without padding."""
    return base64.b64encode(message).decode().rstrip("=")


@pytest.mark.parametrize(
    "code", [code for code in grpc.StatusCode if code.name != "OK"], ids=lambda code: code.name
)
def test_grpc_statuses(code: grpc.StatusCode) -> None:
    """The retryable codes of the specification's table are tried again; RESOURCE_EXHAUSTED alone is not."""
    reply = grpc_result(code.value[0], "why", {})
    assert reply.error == f"{code.name}: why"
    assert reply.outcome == ("retry" if code.name in RETRYABLE else "dropped")
    if reply.outcome == "dropped":
        assert reply.reason == ("unauthenticated" if code.name in CREDENTIALS else "rejected")


def test_an_unknown_grpc_status() -> None:
    """A code that does not exist is not retried."""
    assert grpc_result(99, "", {}) == ExportResult("dropped", "status 99", "rejected")


@pytest.mark.parametrize(
    "trailers",
    [
        {"google.rpc.retryinfo-bin": text(RETRY_INFO.SerializeToString())},
        {"grpc-status-details-bin": ""},
    ],
    ids=["alone", "details"],
)
def test_resource_exhausted_with_retry_info(trailers: dict[str, str]) -> None:
    """RESOURCE_EXHAUSTED is tried again when the server says when, in either place."""
    if "grpc-status-details-bin" in trailers:
        details = [AnyMessage(), AnyMessage()]
        details[0].Pack(ErrorInfo(reason="other"))
        details[1].Pack(RETRY_INFO)
        trailers = {"grpc-status-details-bin": text(Status(code=8, details=details).SerializeToString())}
    assert grpc_result(8, "", trailers) == ExportResult("retry", "RESOURCE_EXHAUSTED", retry_after_s=2.5)


def test_retry_info_is_bounded() -> None:
    """A delay has an upper limit, and an absent one is zero."""
    long = RetryInfo(retry_delay=Duration(seconds=86_400))
    header = "google.rpc.retryinfo-bin"
    assert grpc_result(14, "", {header: text(long.SerializeToString())}).retry_after_s == MAX_SERVER_DELAY_S
    assert (
        grpc_result(
            8, "", {header: text(RetryInfo(retry_delay=Duration()).SerializeToString())}
        ).retry_after_s
        == 0
    )


@given(st.binary(max_size=40))
@example(b"\x0a\x09\x09" + struct.pack("<d", math.inf))
@example(b"\x1a\x06\x08" + varint(1 << 34))
@example(b"\x1a\x16\x0a\x14google.rpc.RetryInfo")
def test_any_bytes_can_be_retry_info(details: bytes) -> None:
    """Parsing any response is limited in memory, and its delay in time."""
    for header in ("google.rpc.retryinfo-bin", "grpc-status-details-bin"):
        delay = grpc_result(14, "", {header: text(details)}).retry_after_s
        assert delay is None or 0 <= delay <= MAX_SERVER_DELAY_S


@pytest.mark.parametrize("garbage", ["!", "AAA", "CgE", "DQ", "/////w", "CgIBAQ"])
def test_garbage_for_retry_info(garbage: str) -> None:
    """Status details that cannot be decoded are ignored."""
    for name in ("google.rpc.retryinfo-bin", "grpc-status-details-bin"):
        reply = grpc_result(14, "", {name: garbage})
        assert (reply.outcome, reply.error) == ("retry", "UNAVAILABLE")


@pytest.mark.parametrize(
    ("status", "outcome", "reason"),
    [
        (400, "dropped", "rejected"),
        (401, "dropped", "unauthenticated"),
        (403, "dropped", "unauthenticated"),
        (404, "dropped", "rejected"),
        (408, "dropped", "rejected"),
        (413, "dropped", "rejected"),
        (429, "retry", "export_failed"),
        (500, "dropped", "rejected"),
        (502, "retry", "export_failed"),
        (503, "retry", "export_failed"),
        (504, "retry", "export_failed"),
        (307, "dropped", "rejected"),
    ],
)
def test_http_statuses(status: int, outcome: str, reason: str) -> None:
    """Only the four statuses of the specification are tried again."""
    reply = http_result(status, "Phrase", None, 0)
    assert (reply.outcome, reply.reason) == (outcome, reason)
    assert reply.error.startswith(f"HTTP {status} Phrase")
    assert ("redirects are not followed" in reply.error) == (status == 307)


@pytest.mark.parametrize("status", [*range(100, 200), *range(300, 600)])
def test_every_http_status(status: int) -> None:
    """Each HTTP status is retried or has a reason for the drop."""
    reply = http_result(status, "", "7", 0)
    if status in (429, 502, 503, 504):
        assert (reply.outcome, reply.retry_after_s) == ("retry", 7)
    else:
        assert (reply.outcome, reply.retry_after_s) == ("dropped", None)
        assert reply.reason == ("unauthenticated" if status in (401, 403, 407) else "rejected")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("1.5", 1.5),
        ("-3", 0),
        ("86400", MAX_SERVER_DELAY_S),
        ("nan", 0),
        ("inf", 0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 10),
        ("yesterday", None),
        (None, None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    """Retry-After is read as seconds or as a date, within the limit."""
    assert http_result(503, "", header, 90).retry_after_s == seconds


def test_partial_success() -> None:
    """Rejected spans and the server's message are reported, and a message without rejections too."""
    assert success(b"") == ExportResult("sent", reason="rejected")
    assert success(partial_success(3, "too old")).rejected == 3
    assert success(partial_success(3, "too old")).error == "partial success, 3 spans rejected: too old"
    assert success(partial_success(0, "beware")).error == "partial success, 0 spans rejected: beware"


def test_partial_success_of_a_later_protocol() -> None:
    """Unknown fields are skipped."""
    assert success(block(b"\x0a", b"\x18\x05\x08\x02")).rejected == 2
    assert success(partial_success(-1, "")).rejected == 0
    assert success(partial_success(-1, "odd")).error == "partial success, 0 spans rejected: odd"


@given(st.binary(max_size=60))
def test_any_bytes_can_be_an_answer(body: bytes) -> None:
    """A response that cannot be decoded counts as accepted."""
    assert success(body).outcome == "sent"


def test_http_answers_to_a_grpc_call() -> None:
    """HTTP statuses map to gRPC statuses as gRPC defines it."""
    assert [grpc_code_of_http(status) for status in (401, 404, 503, 418)] == [16, 12, 14, 2]


@given(st.integers(-(2**63), 2**64 - 1))
def test_varints(number: int) -> None:
    """Encoded integers decode to the same value, negative ones as two's complement."""
    ((_, value),) = fields(b"\x08" + varint(number))
    assert value == number % 2**64


@pytest.mark.parametrize("message", [b"\x0a\x05ab", b"\x0b", b"\x08" + b"\xff" * 12, b"\x09\x00", b"\x80"])
def test_broken_messages(message: bytes) -> None:
    """Truncated messages and unused wire types raise `ValueError`."""
    with pytest.raises(ValueError, match=r"truncated|wire type"):
        list(fields(message))


def test_fixed_fields() -> None:
    """64-bit fields decode as doubles, 32-bit fields as bytes."""
    assert list(fields(b"\x09" + bytes(8) + b"\x15" + bytes(4))) == [(1, 0.0), (2, bytes(4))]
