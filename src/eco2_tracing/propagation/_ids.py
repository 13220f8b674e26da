"""Identifiers from bytes, strictly.

``int(text, 16)`` also takes signs, underscores, spaces and ``0x``. Deleting the allowed
characters with ``bytes.translate`` tells the same as a regular expression in a quarter of the time.
"""

from __future__ import annotations

HEX_DIGITS = b"0123456789abcdefABCDEF"
LOWER_HEX_DIGITS = b"0123456789abcdef"

Candidate = tuple[int, int, bool | None, bool, int]
"""What one header form said: trace id, span id, sampled, debug, trace flags beside "sampled".

Ids of 0 stand for a bare decision; ``None`` for a decision that was left to the receiver.
"""

KNOWN_FLAGS = 0x02
"""Trace flags that travel on beside "sampled": random-trace-id, W3C Trace Context level 2."""
