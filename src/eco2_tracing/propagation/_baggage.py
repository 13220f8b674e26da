"""W3C Baggage (https://www.w3.org/TR/baggage/), stored where the OpenTelemetry API looks for it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote, unquote

MAX_BYTES = 8192
MAX_MEMBER_BYTES = 4096
MAX_MEMBERS = 180

_NAME = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_OCTETS = r"[!#-+\--:<-\[\]-~]*"
_MEMBER_PATTERN = re.compile(rf"({_NAME})[ \t]*=[ \t]*({_OCTETS})")
_PROPERTY_PATTERN = re.compile(rf"[ \t]*{_NAME}[ \t]*(?:=[ \t]*{_OCTETS}[ \t]*)?")
# What a key and a value may hold unescaped; "%" is the escape itself, and some readers take
# "+" for a space.
_SAFE_IN_KEY = "!#$&'*-.^_`|~"
_SAFE_IN_VALUE = "!#$&'()*-./:<=>?@[]^_`{|}~"


class BaggageValue(str):
    """A baggage value that came with properties, which travel on with it.

    Attributes:
        properties: The text after the first semicolon, as it came.
    """

    __slots__ = ("properties",)

    properties: str


def parse_baggage(text: bytes) -> dict[str, object] | None:
    """Parse the combined value of all ``baggage`` headers.

    Malformed members are skipped, and so is what lies beyond the limits: 180 members,
    4096 bytes each, 8192 bytes in all. Of a name that comes twice the last one counts.

    Args:
        text: The values in order, joined with commas.

    Returns:
        Decoded names and values; ``None`` where there are none.
    """
    if len(text) > MAX_BYTES:
        text = text[: max(text.rfind(b",", 0, MAX_BYTES + 1), 0)]
    members: dict[str, object] = {}
    for part in text.split(b",", MAX_MEMBERS)[:MAX_MEMBERS]:
        if len(part) <= MAX_MEMBER_BYTES and part.isascii():
            member = _parse_member(part.decode("ascii"))
            if member is not None:
                members[member[0]] = member[1]
    return members or None


def _parse_member(text: str) -> tuple[str, str] | None:
    """Parse ``key=value;property;property=value``."""
    head, semicolon, properties = text.partition(";")
    match = _MEMBER_PATTERN.fullmatch(head.strip(" \t"))
    if match is None:
        return None
    key, value = unquote(match[1]), unquote(match[2])
    if not semicolon:
        return key, value
    if not all(_PROPERTY_PATTERN.fullmatch(each) for each in properties.split(";")):
        return None
    whole = BaggageValue(value)
    whole.properties = properties.strip(" \t")
    return key, whole


def write_baggage(baggage: Mapping[str, object]) -> bytes:
    """Format the ``baggage`` header within the same limits.

    Args:
        baggage: Names and values, as ``opentelemetry.baggage.get_all`` gives them.

    Returns:
        The header's value; empty where nothing can be sent.
    """
    members: list[bytes] = []
    room = MAX_BYTES + 1
    for member in _members(baggage):
        if len(member) < room and len(members) < MAX_MEMBERS:
            members.append(member)
            room -= len(member) + 1
    return b",".join(members)


def _members(baggage: Mapping[str, object]) -> Iterator[bytes]:
    """Format what can be formatted: values are the application's, and may fight back."""
    for key, value in baggage.items():
        try:
            text = value if isinstance(value, str) else str(value)
            if len(text) > MAX_MEMBER_BYTES or not key:
                continue
            member = _encoded(key, _SAFE_IN_KEY) + "=" + _encoded(text, _SAFE_IN_VALUE)
            if isinstance(value, BaggageValue):
                member += ";" + value.properties
        except Exception:  # noqa: BLE001, S112 - `str` of an application's object; one member is lost
            continue
        if len(member) <= MAX_MEMBER_BYTES:
            yield member.encode("ascii")


def _encoded(text: str, safe: str) -> str:
    """Percent-encode as UTF-8; a lone surrogate becomes a question mark."""
    return quote(text, safe=safe, errors="replace")
