"""Masks and bounds the attributes that an application gives its measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from eco2_tracing._guard import attempt_silently
from eco2_tracing._protobuf import utf8
from eco2_tracing._redaction import Redactor, printable, truncate

if TYPE_CHECKING:
    from opentelemetry.util.types import AnyValue, Attributes, AttributeValue

_LONGEST_NAME = 256
_LONGEST_VALUE = 1024
_MOST_ATTRIBUTES = 32
_NUMBERS = frozenset((int, float, bool))


class _Shared:
    """The redactor of the configuration in force."""

    __slots__ = ("redactor",)

    def __init__(self) -> None:
        self.redactor = Redactor()


shared = _Shared()


def masked(attributes: Attributes) -> Attributes:
    """Return attributes without secrets, and with texts that can be encoded. Never raises."""
    if not attributes:
        return None
    found: Attributes = attempt_silently(_masked, attributes, default=None)
    return found


def _masked(attributes: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    clean: dict[str, AttributeValue] = {}
    for name, value in attributes.items():
        if type(name) is str:
            clean[_text(name, _LONGEST_NAME)] = value if type(value) in _NUMBERS else _value(value)
            if len(clean) == _MOST_ATTRIBUTES:
                break
    return shared.redactor.attributes(clean) or clean  # type: ignore[return-value] # masked values are texts


def _value(value: AttributeValue) -> AttributeValue:
    if isinstance(value, list | tuple):
        items: Sequence[AnyValue] = value[:_MOST_ATTRIBUTES]
        # A tuple, because older SDKs look attributes up by their hash.
        return tuple(item if type(item) in _NUMBERS else _text(item, _LONGEST_VALUE) for item in items)
    return _text(value, _LONGEST_VALUE)


def _text(value: object, limit: int) -> str:
    text = truncate(value if type(value) is str else printable(value), limit)
    return text if text.isascii() else utf8(text).decode()
