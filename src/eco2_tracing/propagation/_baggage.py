"""W3C Baggage (https://www.w3.org/TR/baggage/), stored where the OpenTelemetry API looks for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
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
    return b",".join(_within_limits([], _members(baggage)))


def merge_baggage(values: Iterable[bytes], came_in: bytes, baggage: Mapping[str, object] | None) -> bytes:
    """Combine the baggage that was set on a call with the baggage of the context.

    The call's own members stand first and stay as they are. Members that were copied from the inbound request or
    from the context, with their properties or without, are left out of them. A member of the context is added unless
    the call sets its key; malformed members are left out then, because some readers refuse the whole header for one.

    Args:
        values: The ``baggage`` headers that the call has.
        came_in: The ``baggage`` headers of the inbound request, joined with commas.
        baggage: The names and values of the context that the callee may have; ``None`` for an external host.

    Returns:
        The value of the one header; empty where nothing is left.
    """
    current = [] if baggage is None else list(_members(baggage))
    inherited = {form for part in (*came_in.split(b","), *current) for form in _copies(part)}
    given = list(values)
    parts = [part.strip(b" \t") for value in given for part in value.split(b",")]
    own = [part for part in parts if part and _copies(part)[-1] not in inherited]
    keys = {_key(part) for part in own}
    added = [member for member in current if _key(member) not in keys]
    if added:
        sound = [part for part in own if part.isascii() and _parse_member(part.decode("ascii"))]
        return b",".join(_within_limits(sound, added))
    return given[0] if len(given) == 1 and len(own) == len(parts) else b",".join(own)


def combine_baggage(values: Iterable[bytes], came_in: bytes) -> bytes:
    """Combine several ``baggage`` headers of one call into one; of members with one key one is left.

    Args:
        values: The headers.
        came_in: The inherited baggage, joined with commas: a copy of a member of it gives way to the call's own member.

    Returns:
        The value of the one header.
    """
    inherited = {form for part in came_in.split(b",") for form in _copies(part)}
    parts = [part for value in values for each in value.split(b",") if (part := each.strip(b" \t"))]
    own = [part for part in parts if _copies(part)[-1] not in inherited]
    found: dict[str, bytes] = {}
    for part in (*own, *parts):
        found.setdefault(_key(part), part)
    return b",".join(found.values())


def _within_limits(first: list[bytes], members: Iterable[bytes]) -> list[bytes]:
    """Append members to the first ones, which all stay, as far as there is room."""
    found = list(first)
    room = MAX_BYTES + 1 - sum(len(member) + 1 for member in first)
    for member in members:
        if len(member) < room and len(found) < MAX_MEMBERS:
            found.append(member)
            room -= len(member) + 1
    return found


def _copies(part: bytes) -> list[tuple[str, str, bytes]]:
    """Return what a copy of a member may be: key, value and no properties, and the same with its properties."""
    head, _, properties = part.partition(b";")
    _, equals, value = head.partition(b"=")
    member = (_key(head), unquote(value.strip(b" \t").decode("latin-1")) if equals else "")
    return [(*member, b""), (*member, properties.strip(b" \t"))]


def _key(part: bytes) -> str:
    return unquote(part.partition(b"=")[0].strip(b" \t").decode("latin-1"))


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
