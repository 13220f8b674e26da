"""What all parts are given."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.peers import Variant


@dataclass(frozen=True)
class Options:
    """The command's options.

    Attributes:
        parts: What to measure.
        variants: The installed variants that were asked for, the untraced one first.
        quick: Few and short rounds.
        run: A name for this run, so that rounds of several runs can stand in one file.
        rounds: How many rounds; 0 is the part's own choice.
        seconds: How long a load lasts; 0 is the part's own choice.
    """

    parts: tuple[str, ...] = ()
    variants: list[Variant] = field(default_factory=list)
    quick: bool = False
    run: str = ""
    rounds: int = 0
    seconds: int = 0
