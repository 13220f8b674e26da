"""The page on configuration lists every variable."""

from __future__ import annotations

import re
from pathlib import Path

from eco2_tracing._settings.fields import VARIABLES

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_every_variable_is_in_a_table():
    """Each variable that is read is in the first column of a table."""
    rows = [
        line.split("|")[1] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")
    ]
    assert set(VARIABLES) <= set(re.findall(r"`([A-Z0-9_]+)`", " ".join(rows)))
