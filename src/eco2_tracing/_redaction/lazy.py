"""Regular expressions that are compiled when they are first used.

Compiling those of the masking takes some 40 ms, which an import would pay. Most are used only where a literal look-up
found one of their words. `compile_all` compiles them when a service starts up.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

_patterns: list[LazyPattern] = []
_METHODS = ("findall", "finditer", "fullmatch", "match", "search", "split", "sub", "subn")


class LazyPattern:
    """Stands for a compiled pattern; after the first use its methods are the pattern's own.

    Args:
        pattern: The expression.
        flags: Of the module `re`.
    """

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self._arguments = (pattern, flags)
        _patterns.append(self)

    def __getattr__(self, name: str) -> Any:
        """Compile; Python asks here only for what this object does not have yet."""
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
