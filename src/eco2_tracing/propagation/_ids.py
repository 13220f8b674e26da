"""Parsing of identifiers.

``int(text, 16)`` also accepts signs, underscores, spaces and ``0x``. Deleting the allowed characters with
``bytes.translate`` finds them in a quarter of the time of a regular expression.
"""

from __future__ import annotations

HEX_DIGITS = b"0123456789abcdefABCDEF"
LOWER_HEX_DIGITS = b"0123456789abcdef"

Candidate = tuple[int, int, bool | None, bool, int]
"""The context of one header format: trace id, span id, sampled, debug, trace flags other than "sampled".

Ids of 0 stand for a bare decision, ``None`` for a deferred decision.
"""

KNOWN_FLAGS = 0x02
"""Trace flags other than "sampled" that are propagated: random-trace-id (W3C Trace Context level 2)."""
