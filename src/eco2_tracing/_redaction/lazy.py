"""Regular expressions that are compiled on first use.

Compiling the patterns of this package takes about 40 ms, which would slow the import. Most patterns are used only
if a text has one of their words. `compile_all` compiles them at the start of a service.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

_patterns: list[LazyPattern] = []
_METHODS = ("findall", "finditer", "fullmatch", "match", "search", "split", "sub", "subn")


class LazyPattern:
    """A pattern that is compiled on first use. Afterwards its methods are those of the compiled pattern."""

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self._arguments = (pattern, flags)
        _patterns.append(self)

    def __getattr__(self, name: str) -> Any:
        """Compile the pattern and copy its methods. Python calls this only for attributes that are not set."""
        compiled = re.compile(*self._arguments)
        for method in _METHODS:
            setattr(self, method, getattr(compiled, method))
        return getattr(compiled, name)


def compile_all() -> None:
    """Compile every pattern that has not been used yet."""
    for pattern in _patterns:
        _ = pattern.search


if TYPE_CHECKING:
    lazy = re.compile
else:
    lazy = LazyPattern
