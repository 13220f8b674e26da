"""Secrets are masked here before they reach a span or a log line."""

from __future__ import annotations

from eco2_tracing._redaction._budget import LONGEST_SPAN, LONGEST_TEXT, SMALL, Budget
from eco2_tracing._redaction._commands import mask_arguments
from eco2_tracing._redaction._cut import cut, cut_front, printable
from eco2_tracing._redaction._keys import MASK
from eco2_tracing._redaction._messages import is_refusal
from eco2_tracing._redaction._numbers import KINDS as NUMBER_KINDS
from eco2_tracing._redaction._pairs import secret_fields, secret_pair
from eco2_tracing._redaction._redactor import Redactor, has_form_of_its_own

__all__ = [
    "LONGEST_SPAN",
    "LONGEST_TEXT",
    "MASK",
    "NUMBER_KINDS",
    "SMALL",
    "Budget",
    "Redactor",
    "cut",
    "cut_front",
    "has_form_of_its_own",
    "is_refusal",
    "mask_arguments",
    "printable",
    "secret_fields",
    "secret_pair",
]
