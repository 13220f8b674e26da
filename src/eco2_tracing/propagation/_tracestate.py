"""W3C Trace Context level 2, the ``tracestate`` part (https://www.w3.org/TR/trace-context-2/)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from opentelemetry.trace import TraceState

MAX_MEMBERS = 32
MAX_LENGTH = 512
_LARGE_MEMBER = 128
_LONGEST_READ = 32 * (256 + 1 + 256) + 1024  # 32 of the largest members, and spaces

# Section 3.3.1.3: level 2 lets "@" stand anywhere, and a key begin with a digit.
_KEY = r"[a-z0-9][a-z0-9_\-*/@]{0,255}"
_VALUE = r"[ -+\--<>-~]{0,255}[!-+\--<>-~]"
_KEY_PATTERN = re.compile(_KEY)
_VALUE_PATTERN = re.compile(_VALUE)
_MEMBER_PATTERN = re.compile(f"({_KEY})=({_VALUE})")


class PropagatedTraceState(TraceState):
    """A ``tracestate`` as it came in.

    The API's ``TraceState`` takes level-1 keys only, and an edit there throws the others away.

    Args:
        members: Keys and values, already valid, the most recent first.
    """

    def __init__(self, members: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__()
        self._dict = dict(members)

    def add(self, key: str, value: str) -> TraceState:
        """Put a new member in front; an invalid one, or a key that exists, changes nothing."""
        return self if key in self._dict else self.update(key, value)

    def update(self, key: str, value: str) -> TraceState:
        """Set a member and move it to the front (section 3.5); the 33rd falls off the end."""
        if not _KEY_PATTERN.fullmatch(key) or not _VALUE_PATTERN.fullmatch(value):
            return self
        rest = [member for member in self._dict.items() if member[0] != key]
        return PropagatedTraceState([(key, value), *rest[: MAX_MEMBERS - 1]])

    def delete(self, key: str) -> TraceState:
        """Remove a member; a key that does not exist changes nothing."""
        if key not in self._dict:
            return self
        return PropagatedTraceState(m for m in self._dict.items() if m[0] != key)


def parse_tracestate(text: bytes) -> PropagatedTraceState | None:
    """Parse the combined value of all ``tracestate`` headers.

    Args:
        text: The values in order, joined with commas.

    Returns:
        The members in order, cut to what has to be propagated (section 3.3.1.5); ``None``
        where there are none or one is invalid, which discards all of them.
    """
    if len(text) > _LONGEST_READ or not text.isascii():
        return None
    members: dict[str, str] = {}
    for part in text.decode("ascii").split(","):
        member = part.strip(" \t")
        if not member:
            continue  # empty members are allowed
        match = _MEMBER_PATTERN.fullmatch(member)
        if match is None or len(members) == MAX_MEMBERS:
            return None
        members.setdefault(*match.groups())
    kept = _shortened(list(members.items()), MAX_LENGTH)
    return PropagatedTraceState(kept) if kept else None


def write_tracestate(state: TraceState) -> bytes:
    """Format ``tracestate`` within its limits; empty where nothing can be sent."""
    text = state.to_header()
    if len(text) > MAX_LENGTH:
        members = _shortened(list(state.items()), MAX_LENGTH)
        text = ",".join(f"{key}={value}" for key, value in members)
    return text.encode("ascii") if text.isascii() else b""


def _shortened(members: list[tuple[str, str]], limit: int) -> list[tuple[str, str]]:
    """Cut whole members, those above 128 characters first, then from the end."""
    length = sum(len(key) + len(value) + 2 for key, value in members) - 1
    for least in (_LARGE_MEMBER, 0):
        for index in range(len(members) - 1, -1, -1):
            if length <= limit:
                return members
            size = len(members[index][0]) + len(members[index][1]) + 1
            if size > least:
                del members[index]
                length -= size + 1
    return members
