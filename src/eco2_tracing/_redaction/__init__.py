"""Secrets are masked here before they reach a span or a log line."""

from __future__ import annotations

from eco2_tracing._redaction.budget import LONGEST_SPAN, LONGEST_TEXT, SMALL, Budget
from eco2_tracing._redaction.commands import mask_arguments
from eco2_tracing._redaction.cut import cut, cut_front, printable
from eco2_tracing._redaction.keys import MASK
from eco2_tracing._redaction.messages import is_refusal
from eco2_tracing._redaction.numbers import KINDS as NUMBER_KINDS
from eco2_tracing._redaction.opaque import is_uncertain, masked_opaque
from eco2_tracing._redaction.pairs import secret_fields, secret_pair
from eco2_tracing._redaction.redactor import Redactor, has_form_of_its_own

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
    "is_uncertain",
    "mask_arguments",
    "masked_opaque",
    "printable",
    "secret_fields",
    "secret_pair",
]
