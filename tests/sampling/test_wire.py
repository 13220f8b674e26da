"""The hand-written protobuf reads what a server writes, and survives what it does not."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eco2_tracing.sampling._remote.fetch import decode_strategy, encode_question


def field(number, payload):
    """A length-delimited field."""
    return bytes([number << 3 | 2, len(payload)]) + payload


def double(number, value):
    """A 64-bit field."""
    return bytes([number << 3 | 1]) + struct.pack("<d", value)


def test_a_question():
    """The service's name is field 1, its length a varint."""
    assert encode_question("shop") == b"\x0a\x04shop"
    assert encode_question("s" * 300) == b"\x0a\xac\x02" + b"s" * 300


def test_a_ratio():
    """``probabilisticSampling``, after a strategy type that is ignored."""
    assert decode_strategy(b"\x08\x00" + field(2, double(1, 0.25))) == {
        "probabilisticSampling": {"samplingRate": 0.25}
    }


def test_a_rate():
    """``rateLimitingSampling``; a zero is not written."""
    answer = {"rateLimitingSampling": {"maxTracesPerSecond": 300}}
    assert decode_strategy(b"\x08\x01" + field(3, b"\x08\xac\x02")) == answer
    assert decode_strategy(field(3, b"")) == {"rateLimitingSampling": {"maxTracesPerSecond": 0}}


def test_operations():
    """``operationSampling`` with its defaults; fields of other versions are passed over."""
    one = field(1, b"GET") + field(2, double(1, 0.5))
    message = double(1, 0.1) + double(2, 2.0) + field(3, one) + field(3, b"") + b"\x25\x00\x00\x00\x00"
    assert decode_strategy(field(4, message) + field(9, b"new")) == {
        "operationSampling": {
            "defaultSamplingProbability": 0.1,
            "defaultLowerBoundTracesPerSecond": 2.0,
            "perOperationStrategies": [
                {"operation": "GET", "probabilisticSampling": {"samplingRate": 0.5}},
                {"operation": "", "probabilisticSampling": {}},
            ],
        }
    }


@pytest.mark.parametrize("data", [b"\x12\x05ab", b"\x80", b"\x0b", b"\x10\x01", b"\x09abc"])
def test_bytes_that_are_no_answer(data):
    """Cut short, of an unknown kind, or a number where a message belongs."""
    with pytest.raises(ValueError, match=r"message|type"):
        decode_strategy(data)


@given(data=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data):
    """Nothing but ValueError comes out of a server's nonsense."""
    try:
        assert isinstance(decode_strategy(data), dict)
    except ValueError:
        return
