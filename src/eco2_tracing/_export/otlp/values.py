"""Encodes attributes as OTLP ``KeyValue`` messages. Keys and frequent pairs are cached.

Source: opentelemetry/proto/common/v1/common.proto
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from eco2_tracing._protobuf import block, utf8, varint

TEXT_LIMIT = 32 * 1024
"""Characters (or bytes) of one attribute value that are sent."""
ITEM_LIMIT = 1024
"""Items of a sequence or mapping that are sent."""
DEPTH_LIMIT = 16
"""Levels of nesting that are encoded: a value may contain itself."""

_MAX_CACHED = 4096
_MAX_VALUES_PER_KEY = 64
_MAX_CACHED_LENGTH = 256
_BEYOND_INT64 = 1 << 63
_TRUE, _FALSE, _NONE = b"\x10\x01", b"\x10\x00", b""
_double = struct.Struct("<Bd").pack


class ValueEncoder:
    """Encodes attributes, and caches keys and frequent values. Threads share it: a cache may lose an entry to another.

    Args:
        text_limit: Characters kept of a text; see `TEXT_LIMIT`.
        item_limit: Items kept of a sequence or mapping; see `ITEM_LIMIT`.
    """

    __slots__ = ("_cached", "_item_limit", "_keys", "_text_limit")

    def __init__(self, text_limit: int = TEXT_LIMIT, item_limit: int = ITEM_LIMIT) -> None:
        self._text_limit = text_limit
        self._item_limit = item_limit
        # key -> (encoded key, value -> encoded pair)
        self._keys: dict[str, tuple[bytes, dict[object, bytes]]] = {}
        self._cached = 0

    def attributes(self, tag: bytes, attributes: Mapping[str, object], out: list[bytes]) -> None:
        """Append one field for each attribute."""
        # One flat loop: it is most of the time that a span takes.
        keys = self._keys
        append = out.append
        for key, value in attributes.items():
            entry = keys.get(key)
            if entry is None:
                entry = self._add_key(key)
            kind = type(value)
            # Only two types are cached: True == 1 == 1.0 would share an entry.
            if kind is str or kind is int:
                pair = entry[1].get(value)
                if pair is None:
                    pair = self._pair(entry, value)
            else:
                pair = self._wrap(entry[0], self.value(value))
            append(tag)
            append(pair)

    def text(self, value: str) -> bytes:
        """Encode text, truncated to the limit, as valid UTF-8."""
        if len(value) > self._text_limit:
            value = value[: self._text_limit]
        return utf8(value)

    def as_text(self, value: object) -> bytes:
        """Encode a value as text, whatever its type."""
        return self.text(value if isinstance(value, str) else _text_of(value, 0))

    def value(self, value: object, depth: int = 0) -> bytes:
        """Encode an ``AnyValue``. A type that OTLP does not have is encoded as text."""
        if isinstance(value, str):
            return block(b"\x0a", self.text(str.__str__(value)))
        if value is None:
            return _NONE
        if isinstance(value, bool):
            return _TRUE if value else _FALSE
        if isinstance(value, int):
            return self._integer(value)
        if isinstance(value, float):
            return _double(0x21, value)
        if isinstance(value, bytes | bytearray | memoryview):
            return block(b"\x3a", bytes(value[: self._text_limit]))
        if depth < DEPTH_LIMIT and isinstance(value, Mapping):
            return block(b"\x32", self._mapping(value, depth + 1))
        if depth < DEPTH_LIMIT and isinstance(value, Sequence | set | frozenset):
            return block(b"\x2a", self._sequence(value, depth + 1))
        return block(b"\x0a", self.text(_text_of(value, depth)))

    def _integer(self, value: int) -> bytes:
        value = int.__int__(value)  # a subclass, such as an enumeration, may override methods
        if -_BEYOND_INT64 <= value < _BEYOND_INT64:
            return b"\x18" + varint(value)
        # Decimal text takes quadratic time, and Python refuses more than 4 300 digits.
        text = int.__repr__(value) if value.bit_length() <= 1024 else hex(value)
        return block(b"\x0a", self.text(text))

    def _sequence(self, values: Sequence[object] | set[object] | frozenset[object], depth: int) -> bytes:
        out: list[bytes] = []
        for value in values:
            if len(out) == self._item_limit:
                break
            out.append(block(b"\x0a", self.value(value, depth)))
        return b"".join(out)

    def _mapping(self, values: Mapping[object, object], depth: int) -> bytes:
        out: list[bytes] = []
        for key, value in values.items():
            if len(out) == self._item_limit:
                break
            name = block(b"\x0a", self.as_text(key))
            out.append(block(b"\x0a", name + block(b"\x12", self.value(value, depth))))
        return b"".join(out)

    def _add_key(self, key: str) -> tuple[bytes, dict[object, bytes]]:
        encoded = self.as_text(key)
        entry: tuple[bytes, dict[object, bytes]] = (block(b"\x0a", encoded), {})
        if self._has_room(encoded):
            self._keys[key] = entry
        return entry

    def _pair(self, entry: tuple[bytes, dict[object, bytes]], value: object) -> bytes:
        encoded, seen = entry
        pair = self._wrap(encoded, self.value(value))
        # A key with many values (ids, paths) caches only the first: the values rarely repeat.
        if len(seen) < _MAX_VALUES_PER_KEY and self._has_room(pair):
            seen[value] = pair
        return pair

    def _has_room(self, encoded: bytes) -> bool:
        if len(encoded) > _MAX_CACHED_LENGTH:
            return False
        if self._cached >= _MAX_CACHED:
            self._keys.clear()
            self._cached = 0
        self._cached += 1
        return True

    @staticmethod
    def _wrap(key: bytes, value: bytes) -> bytes:
        size = len(value)
        if size < 128:
            body = b"%b\x12%c%b" % (key, size, value)
            if len(body) < 128:
                return b"%c%b" % (len(body), body)
        else:
            body = key + block(b"\x12", value)
        return varint(len(body)) + body


def _text_of(value: object, depth: int) -> str:
    """Return the text of a value of another type; its type's name if ``__str__`` raises."""
    if depth >= DEPTH_LIMIT:
        return f"<{type(value).__name__}>"
    try:
        return str.__str__(str(value))
    except Exception:  # noqa: BLE001 - ``__str__`` of the application; the other attributes are still sent
        return f"<{type(value).__name__}>"
