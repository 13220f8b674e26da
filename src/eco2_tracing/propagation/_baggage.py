"""The ``baggage`` header of W3C Baggage (https://www.w3.org/TR/baggage/)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, unquote

from eco2_tracing._guard import attempt

MAX_BYTES = 8192
MAX_MEMBER_BYTES = 4096
MAX_MEMBERS = 180

_NAME = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_OCTETS = r"[!#-+\--:<-\[\]-~]*"
_MEMBER_PATTERN = re.compile(rf"({_NAME})[ \t]*=[ \t]*({_OCTETS})")
_PROPERTY_PATTERN = re.compile(rf"[ \t]*{_NAME}[ \t]*(?:=[ \t]*{_OCTETS}[ \t]*)?")
# Characters that need no escape. "%" begins an escape, and some parsers read "+" as a space.
_SAFE_IN_KEY = "!#$&'*-.^_`|~"
_SAFE_IN_VALUE = "!#$&'()*-./:<=>?@[]^_`{|}~"


class BaggageValue(str):
    """A baggage value with properties: the text after the first semicolon, without changes."""

    __slots__ = ("properties",)

    properties: str


def parse_baggage(text: bytes) -> dict[str, object] | None:
    """Parse the values of all ``baggage`` headers, joined with commas; ``None`` if there are no members.

    Malformed members are skipped, and so are members beyond the limits: 180 members, 4096 bytes each, 8192 bytes in
    all. If a name is there twice, the last member counts.
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


def format_baggage(baggage: Mapping[str, object]) -> bytes:
    """Format the ``baggage`` header within the same limits; empty if nothing can be sent."""
    return b",".join(_within_limits([], _members(baggage)))


def merge_baggage(explicit: list[bytes], received: bytes, baggage: Mapping[str, object] | None) -> bytes:
    """Merge the baggage that was set on a call with the baggage of the context, ``None`` for an external host.

    The explicit members are first and do not change. Members that were copied from the inbound request (``received``,
    joined with commas) or from the context, with or without their properties, are not explicit. A member of the
    context is added unless there is an explicit one of that key. Malformed explicit members are then left out: some
    parsers reject the header for one. The value of the one header is returned; empty if nothing is left.
    """
    current = [] if baggage is None else list(_members(baggage))
    inherited = {form for part in (*received.split(b","), *current) for form in _copies(part)}
    parts = [part.strip(b" \t") for value in explicit for part in value.split(b",")]
    kept = [part for part in parts if part and _copies(part)[-1] not in inherited]
    keys = {_key(part) for part in kept}
    added = [member for member in current if _key(member) not in keys]
    if added:
        valid = [part for part in kept if part.isascii() and _parse_member(part.decode("ascii"))]
        return b",".join(_within_limits(valid, added))
    return explicit[0] if len(explicit) == 1 and len(kept) == len(parts) else b",".join(kept)


def combine_baggage(values: Iterable[bytes], inherited: bytes) -> bytes:
    """Combine several ``baggage`` headers of one call into one, with one member for each key.

    A copy of an inherited member gives way to an explicit member of that key.
    """
    copies = {form for part in inherited.split(b",") for form in _copies(part)}
    parts = [part for value in values for each in value.split(b",") if (part := each.strip(b" \t"))]
    explicit = [part for part in parts if _copies(part)[-1] not in copies]
    found: dict[str, bytes] = {}
    for part in (*explicit, *parts):
        found.setdefault(_key(part), part)
    return b",".join(found.values())


def _within_limits(first: list[bytes], members: Iterable[bytes]) -> list[bytes]:
    """Append members to the first ones within the limits. The first ones all stay."""
    found = list(first)
    room = MAX_BYTES + 1 - sum(len(member) + 1 for member in first)
    for member in members:
        if len(member) < room and len(found) < MAX_MEMBERS:
            found.append(member)
            room -= len(member) + 1
    return found


def _copies(part: bytes) -> list[tuple[str, str, bytes]]:
    """Return the two forms that a copy of a member may have: without properties, and with them."""
    head, _, properties = part.partition(b";")
    _, equals, value = head.partition(b"=")
    member = (_key(head), unquote(value.strip(b" \t").decode("latin-1")) if equals else "")
    return [(*member, b""), (*member, properties.strip(b" \t"))]


def _key(part: bytes) -> str:
    return unquote(part.partition(b"=")[0].strip(b" \t").decode("latin-1"))


def _members(baggage: Mapping[str, object]) -> Iterator[bytes]:
    """Format the members, without those that cannot be sent."""
    for key, value in baggage.items():
        if (
            type(key) is str and type(value) is str
        ):  # nothing can fail: the guard takes 0.5 us for each member
            member = _format_member(key, value)
        else:
            member = attempt("formatting baggage", _format_member, key, value, default=None)
        if member is not None:
            yield member


def _format_member(key: str, value: object) -> bytes | None:
    text = value if isinstance(value, str) else str(value)
    if len(text) > MAX_MEMBER_BYTES or not key:
        return None
    member = _encoded(key, _SAFE_IN_KEY) + "=" + _encoded(text, _SAFE_IN_VALUE)
    if isinstance(value, BaggageValue):
        member += ";" + value.properties
    return member.encode("ascii") if len(member) <= MAX_MEMBER_BYTES else None


def _encoded(text: str, safe: str) -> str:
    """Percent-encode as UTF-8; a lone surrogate becomes a question mark."""
    return quote(text, safe=safe, errors="replace")
