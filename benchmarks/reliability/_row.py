"""A row of the reliability table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Variant = Literal["ours", "stock"]


@dataclass(frozen=True, slots=True)
class Scale:
    """The size of a measurement.

    Attributes:
        full: The sizes of the committed table; otherwise those of a look in passing.
    """

    full: bool

    def of(self, full: int, quick: int) -> int:
        """Choose a size."""
        return full if self.full else quick


@dataclass(frozen=True, slots=True)
class Figure:
    """A result.

    Attributes:
        text: The cell of the table.
        held: Whether the row's goal is reached.
    """

    text: str
    held: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One guarantee.

    Attributes:
        name: What to call it on the command line.
        promise: What is promised.
        goal: The figure to reach.
        measure: Measures a variant; what it raises is the row's failure.
    """

    name: str
    promise: str
    goal: str
    measure: Callable[[Variant, Scale], Figure]
