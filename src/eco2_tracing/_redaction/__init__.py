"""Secrets are masked here before they reach a span or a log line."""

from __future__ import annotations

from eco2_tracing._redaction._cut import cut, cut_front, printable
from eco2_tracing._redaction._keys import MASK
from eco2_tracing._redaction._messages import is_refusal
from eco2_tracing._redaction._redactor import LONGEST_TEXT, Redactor

__all__ = ["LONGEST_TEXT", "MASK", "Redactor", "cut", "cut_front", "is_refusal", "printable"]
