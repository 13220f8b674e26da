"""The little protobuf that ``jaeger.api_v2.SamplingManager`` needs, without generated code."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any


def encode_question(service_name: str) -> bytes:
    """A ``SamplingStrategyParameters`` message."""
    name = service_name.encode()
    return b"\x0a" + _varint(len(name)) + name  # field 1, a string


def decode_strategy(data: bytes) -> dict[str, Any]:
    """Bring a protobuf ``SamplingStrategyResponse`` into the shape that its JSON form has.

    Raises:
        ValueError: The bytes are no such message.
    """
    answer: dict[str, Any] = {}
    for number, value in _fields(data):
        if number == 2:
            answer["probabilisticSampling"] = _doubles(value, {1: "samplingRate"})
        elif number == 3:
            rates = [rate for field, rate in _fields(_message(value)) if field == 1]
            answer["rateLimitingSampling"] = {"maxTracesPerSecond": rates[-1] if rates else 0}
        elif number == 4:
            answer["operationSampling"] = _operations(_message(value))
    return answer


def _operations(data: bytes) -> dict[str, Any]:
    names = {1: "defaultSamplingProbability", 2: "defaultLowerBoundTracesPerSecond"}
    operations = _doubles(data, names)
    listed: list[dict[str, Any]] = []
    for number, value in _fields(data):
        if number == 3:
            fields = dict(_fields(_message(value)))
            name = _message(fields.get(1, b"")).decode("utf-8", "replace")
            ratio = _doubles(fields.get(2, b""), {1: "samplingRate"})
            listed.append({"operation": name, "probabilisticSampling": ratio})
    return {**operations, "perOperationStrategies": listed}


def _doubles(data: object, names: dict[int, str]) -> dict[str, Any]:
    return {names[number]: value for number, value in _fields(_message(data)) if number in names}


def _message(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a field has an unexpected type")  # noqa: TRY004 - one error for all
    return value


def _fields(data: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Walk the fields of a protobuf message (encoding: protobuf.dev/programming-guides/encoding)."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _read_varint(data, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _read_varint(data, at)
        else:
            size = {1: 8, 5: 4}.get(wire, len(data) + 1)
        if at + size > len(data):
            raise ValueError("the message is cut short or of an unknown kind")
        raw = data[at : at + size]
        at += size
        yield number, struct.unpack("<d", raw)[0] if wire == 1 else raw


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("the message is cut short")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
