"""The parts of the protobuf wire format that OTLP and Jaeger's sampling API use.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_double = struct.Struct("<d").unpack
_SMALL = tuple(bytes((n,)) for n in range(128))


def varint(number: int) -> bytes:
    """Encode an integer as a base-128 varint; a negative one as 64-bit two's complement."""
    if 0 <= number < 128:
        return _SMALL[number]
    number &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def block(tag: bytes, body: bytes) -> bytes:
    """Encode a length-delimited field: its tag, the length of the body, the body."""
    return tag + varint(len(body)) + body


def utf8(text: str) -> bytes:
    """Encode text as valid UTF-8: a lone surrogate becomes U+FFFD, a surrogate pair its character.

    A receiver refuses a whole request for one invalid string.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def fields(message: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Yield number and value of each top-level field: an ``int`` for a varint, a ``float`` for 64 bits, else raw bytes.

    `ValueError`: the bytes are not a protobuf message.
    """
    at, end = 0, len(message)
    while at < end:
        key, at = read_varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = read_varint(message, at)
            yield number, value
            continue
        if kind == 2:
            size, at = read_varint(message, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if at + size > end:
            raise ValueError("truncated message")
        raw = message[at : at + size]
        at += size
        yield number, _double(raw)[0] if kind == 1 else raw


def nested(value: object) -> bytes:
    """Return the value of a field that holds text or a message; a number is a `ValueError`."""
    if not isinstance(value, bytes):
        raise ValueError("a field has an unexpected type")  # noqa: TRY004 - callers catch one type
    return value


def read_varint(message: bytes, at: int) -> tuple[int, int]:
    """Return the base-128 varint at a position, and the position behind it."""
    number = 0
    for shift, byte in enumerate(message[at : at + 10]):
        number |= (byte & 127) << 7 * shift
        if byte < 128:
            return number, at + shift + 1
    raise ValueError("truncated message")
