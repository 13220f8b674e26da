"""Attributes as OTLP ``KeyValue`` messages, with caches for what repeats.

Source: opentelemetry/proto/common/v1/common.proto
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from eco2_tracing._protobuf import block, utf8, varint

TEXT_LIMIT = 32 * 1024
"""Characters (or bytes) of one attribute value that are sent; the rest is cut."""
ITEM_LIMIT = 1024
"""Items of a sequence or mapping that are sent; the rest is cut."""
DEPTH_LIMIT = 16
"""Levels of nesting that are followed, so that a value containing itself ends."""

_MAX_CACHED = 4096
_MAX_VALUES_PER_KEY = 64
_MAX_CACHED_LENGTH = 256
_BEYOND_INT64 = 1 << 63
_TRUE, _FALSE, _NONE = b"\x10\x01", b"\x10\x00", b""
_double = struct.Struct("<Bd").pack


class ValueEncoder:
    """Encodes attribute values and remembers keys and frequent values.

    Not thread-safe: one worker owns it.

    Args:
        text_limit: Characters kept of a text; see `TEXT_LIMIT`.
        item_limit: Items kept of a sequence or mapping; see `ITEM_LIMIT`.
    """

    __slots__ = ("_cached", "_item_limit", "_keys", "_text_limit")

    def __init__(self, text_limit: int = TEXT_LIMIT, item_limit: int = ITEM_LIMIT) -> None:
        self._text_limit = text_limit
        self._item_limit = item_limit
        # key -> (encoded key, value -> encoded pair)
        self._keys: dict[str, tuple[bytes, dict[Any, bytes]]] = {}
        self._cached = 0

    def attributes(self, tag: bytes, attributes: Mapping[str, Any], out: list[bytes]) -> None:
        """Append one field of number ``tag`` for each attribute.

        Args:
            tag: The encoded tag of the repeated ``KeyValue`` field.
            attributes: Keys and values of any kind.
            out: Where the pieces go.
        """
        # Flat on purpose: this loop is most of the cost of a span.
        keys = self._keys
        append = out.append
        for key, value in attributes.items():
            entry = keys.get(key)
            if entry is None:
                entry = self._remember(key)
            kind = type(value)
            # bool and int are equal where their values are: only these two types are cached.
            if kind is str or kind is int:
                pair = entry[1].get(value)
                if pair is None:
                    pair = self._pair(entry, value)
            else:
                pair = self._wrap(entry[0], self.value(value))
            append(tag)
            append(pair)

    def text(self, value: str) -> bytes:
        """Encode text, cut to the limit and repaired."""
        if len(value) > self._text_limit:
            value = value[: self._text_limit]
        return utf8(value)

    def described(self, value: object) -> bytes:
        """Encode something as text that should have been one."""
        return self.text(value if isinstance(value, str) else _described(value, 0))

    def value(self, value: object, depth: int = 0) -> bytes:
        """Encode the body of an ``AnyValue``; a kind that OTLP lacks goes as text."""
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
        return block(b"\x0a", self.text(_described(value, depth)))

    def _integer(self, value: int) -> bytes:
        value = int.__int__(value)  # an enumeration's member or a liar is a plain number from here on
        if -_BEYOND_INT64 <= value < _BEYOND_INT64:
            return b"\x18" + varint(value)
        # Decimal text of a huge number is quadratic, and refused beyond 4 300 digits.
        text = int.__repr__(value) if value.bit_length() <= 1024 else hex(value)
        return block(b"\x0a", self.text(text))

    def _sequence(self, values: Sequence[object] | set[object] | frozenset[object], depth: int) -> bytes:
        out: list[bytes] = []
        for value in values:
            if len(out) == self._item_limit:
                break
            out.append(block(b"\x0a", self.value(value, depth)))
        return b"".join(out)

    def _mapping(self, values: Mapping[Any, object], depth: int) -> bytes:
        out: list[bytes] = []
        for key, value in values.items():
            if len(out) == self._item_limit:
                break
            name = block(b"\x0a", self.described(key))
            out.append(block(b"\x0a", name + block(b"\x12", self.value(value, depth))))
        return b"".join(out)

    def _remember(self, key: str) -> tuple[bytes, dict[Any, bytes]]:
        encoded = self.described(key)
        entry: tuple[bytes, dict[Any, bytes]] = (block(b"\x0a", encoded), {})
        if self._has_room(encoded):
            self._keys[key] = entry
        return entry

    def _pair(self, entry: tuple[bytes, dict[Any, bytes]], value: str | int) -> bytes:
        encoded, seen = entry
        pair = self._wrap(encoded, self.value(value))
        # A key of many values (ids, paths) keeps its first ones: most likely none repeats.
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


def _described(value: object, depth: int) -> str:
    """Give a text for a value of another kind, whatever its ``__str__`` does."""
    if depth >= DEPTH_LIMIT:
        return f"<{type(value).__name__}>"
    try:
        return str.__str__(str(value))
    except Exception:  # noqa: BLE001 - code of the application
        return f"<{type(value).__name__}>"
