"""Bodies of OTLP requests as protobuf messages, and messages as OTLP JSON."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import orjson
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import DecodeError, Message

from eco2_tracing._protobuf import read_varint, varint

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor

M = TypeVar("M", bound=Message)

_IDS = frozenset({"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"})
_DEEPEST = 100  # the limit of protobuf's own parser
_STRING, _MESSAGE = 9, 11  # FieldDescriptorProto.Type


def parse(kind: type[M], body: bytes, *, is_json: bool) -> M:
    """Return a body as a message. Invalid UTF-8 becomes U+FFFD.

    Args:
        kind: The class of the message.
        body: The uncompressed body.
        is_json: The body is OTLP JSON, otherwise protobuf.

    Raises:
        ValueError: The body is no such message.
    """
    try:
        if is_json:
            return message_of(kind, orjson.loads(body.decode("utf-8", "replace")))
        return _of_protobuf(kind, body)
    except DecodeError as error:
        raise ValueError(f"not an OTLP message: {error}") from None


def _of_protobuf(kind: type[M], body: bytes) -> M:
    message: M = kind()
    try:
        message.ParseFromString(body)
    except DecodeError:
        message.Clear()
        message.ParseFromString(_repaired(body, kind.DESCRIPTOR, 0))
    return message


def _repaired(message: bytes, descriptor: Descriptor, depth: int) -> bytes:
    """Return an encoded message with the invalid UTF-8 of its text fields replaced."""
    out = bytearray()
    at = 0
    while at < len(message):
        begin = at
        key, at = read_varint(message, at)
        wire = key & 7
        if wire == 2:
            size, at = read_varint(message, at)
            body = message[at : at + size]
            if len(body) < size:
                raise ValueError("truncated message")
            at += size
            body = _repaired_field(body, descriptor.fields_by_number.get(key >> 3), depth)
            out += varint(key) + varint(len(body)) + body
            continue
        if wire == 0:
            _, at = read_varint(message, at)
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        out += message[begin:at]
    return bytes(out)


def _repaired_field(body: bytes, field: FieldDescriptor | None, depth: int) -> bytes:
    if field is not None and field.type == _STRING:
        return body.decode("utf-8", "replace").encode()
    if field is not None and field.type == _MESSAGE and field.message_type is not None and depth < _DEEPEST:
        return _repaired(body, field.message_type, depth + 1)
    return body


def message_of(kind: type[M], document: object) -> M:
    """Return parsed OTLP JSON as a message; ids are hex there and base64 in protobuf's JSON.

    Raises:
        ValueError: The document is no such message.
    """
    if not isinstance(document, dict):
        raise ValueError("not an OTLP message: it is no JSON object")  # noqa: TRY004 - callers catch one type
    try:
        _change_ids(document, lambda text: b64encode(bytes.fromhex(text)).decode())
        message: M = ParseDict(document, kind(), ignore_unknown_fields=True)
        return message
    except (ParseError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"not an OTLP message: {error}") from None


def document_of(message: Message) -> dict[str, object]:
    """Return a message as a document of OTLP JSON."""
    document: dict[str, object] = MessageToDict(message, use_integers_for_enums=True)
    _change_ids(document, lambda text: b64decode(text).hex())
    return document


def _change_ids(document: object, change: Callable[[str], str]) -> None:
    """Replace every id in a document. The keys of attributes are values there, so that none is taken for an id."""
    waiting = [document]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            for key, value in each.items():
                if key in _IDS and isinstance(value, str):
                    each[key] = change(value)
                else:
                    waiting.append(value)
