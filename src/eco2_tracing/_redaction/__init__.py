"""Masks secrets in values of spans and log lines.

The same arguments in all modules: `low` is a text in lower case, of the same length. `is_secret` returns True if values
under a name are masked. `budget` is the search budget: the rest of a text is masked or omitted if it is exhausted.
"""

from __future__ import annotations

from eco2_tracing._redaction.commands import mask_arguments
from eco2_tracing._redaction.forms import NUMBER_KINDS
from eco2_tracing._redaction.keys import MASK
from eco2_tracing._redaction.kinds import is_uncertain, masked_opaque
from eco2_tracing._redaction.limits import (
    LONGEST_SPAN,
    LONGEST_TEXT,
    SMALL,
    Budget,
    printable,
    truncate,
    truncate_front,
)
from eco2_tracing._redaction.messages import is_validation_error
from eco2_tracing._redaction.redactor import Redactor, has_special_form
from eco2_tracing._redaction.redis import command_text
from eco2_tracing._redaction.values import is_secret_pair, secret_fields

__all__ = [
    "LONGEST_SPAN",
    "LONGEST_TEXT",
    "MASK",
    "NUMBER_KINDS",
    "SMALL",
    "Budget",
    "Redactor",
    "command_text",
    "has_special_form",
    "is_secret_pair",
    "is_uncertain",
    "is_validation_error",
    "mask_arguments",
    "masked_opaque",
    "printable",
    "secret_fields",
    "truncate",
    "truncate_front",
]
