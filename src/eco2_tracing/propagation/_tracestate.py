"""The ``tracestate`` header of W3C Trace Context level 2 (https://www.w3.org/TR/trace-context-2/)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from opentelemetry.trace import TraceState

MAX_MEMBERS = 32
MAX_LENGTH = 512
_LARGE_MEMBER = 128
_LONGEST_PARSED = 32 * (256 + 1 + 256) + 1024  # 32 members of the largest size, and spaces

# Section 3.3.1.3: in level 2, "@" may stand anywhere in a key, and a key may begin with a digit.
_KEY = r"[a-z0-9][a-z0-9_\-*/@]{0,255}"
_VALUE = r"[ -+\--<>-~]{0,255}[!-+\--<>-~]"
_KEY_PATTERN = re.compile(_KEY)
_VALUE_PATTERN = re.compile(_VALUE)
_MEMBER_PATTERN = re.compile(f"({_KEY})=({_VALUE})")


class PropagatedTraceState(TraceState):
    """A ``tracestate`` with the keys of level 2.

    The API's `TraceState` validates by level 1, and keeps its members in a private attribute. This one has its own.

    Args:
        members: Valid keys and values, the most recent first.
    """

    def __init__(self, members: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__()
        self._members = dict(members)

    def __contains__(self, key: object) -> bool:
        return key in self._members

    def __getitem__(self, key: str) -> str:
        return self._members[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        return f"PropagatedTraceState({list(self._members.items())})"

    # The API's versions read its private attribute.
    keys, items, values = Mapping.keys, Mapping.items, Mapping.values

    def to_header(self) -> str:
        """Return the value of the header."""
        return ",".join([f"{key}={value}" for key, value in self._members.items()])

    def add(self, key: str, value: str) -> TraceState:
        """Return a copy with a new first member; self if the member is invalid or the key exists."""
        return self if key in self._members else self.update(key, value)

    def update(self, key: str, value: str) -> TraceState:
        """Return a copy with the member set and moved to the front (section 3.5), without the 33rd member."""
        if not _KEY_PATTERN.fullmatch(key) or not _VALUE_PATTERN.fullmatch(value):
            return self
        rest = [member for member in self._members.items() if member[0] != key]
        return PropagatedTraceState([(key, value), *rest[: MAX_MEMBERS - 1]])

    def delete(self, key: str) -> TraceState:
        """Return a copy without a member; self if the key does not exist."""
        if key not in self._members:
            return self
        return PropagatedTraceState(member for member in self._members.items() if member[0] != key)


def parse_tracestate(text: bytes) -> PropagatedTraceState | None:
    """Parse the combined value of all ``tracestate`` headers.

    The members are truncated to what must be propagated (section 3.3.1.5). ``None`` if there are none, or if one of
    them is invalid.
    """
    if len(text) > _LONGEST_PARSED or not text.isascii():
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
    kept = _truncated(list(members.items()))
    return PropagatedTraceState(kept) if kept else None


def format_tracestate(state: TraceState) -> bytes:
    """Format ``tracestate`` within its limits; empty if nothing can be sent."""
    text = state.to_header()
    if len(text) > MAX_LENGTH:
        text = ",".join(f"{key}={value}" for key, value in _truncated(list(state.items())))
    return text.encode("ascii") if text.isascii() else b""


def _truncated(members: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Remove whole members until the rest fits: first those above 128 characters, then from the end."""
    length = sum(len(key) + len(value) + 2 for key, value in members) - 1
    for least in (_LARGE_MEMBER, 0):
        for index in range(len(members) - 1, -1, -1):
            if length <= MAX_LENGTH:
                return members
            size = len(members[index][0]) + len(members[index][1]) + 1
            if size > least:
                del members[index]
                length -= size + 1
    return members
