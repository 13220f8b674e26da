"""Exceptions of eco2-tracing.

Eco2TracingError
├── ConfigurationError    wrong configuration, raised only in strict mode
└── MissingExtraError     a feature whose optional package is not installed
"""

from __future__ import annotations

from collections.abc import Sequence


class Eco2TracingError(Exception):
    """Base class of the exceptions that this library raises on purpose."""


class ConfigurationError(Eco2TracingError, ValueError):
    """Wrong configuration, raised only in strict mode (``ECO2_TRACING_STRICT=true``).

    Args:
        problems: One sentence for each problem: the variable, the value found, what to do.

    Attributes:
        problems: The same sentences, as a tuple.

    Examples:
        >>> try:
        ...     TracingSettings(strict=True, log_level="loud")
        ... except ConfigurationError as error:
        ...     print(len(error.problems))
        1
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class MissingExtraError(Eco2TracingError, ImportError):
    """A feature needs a package that is not installed.

    Args:
        feature: The feature, such as ``eco2-tracing demo``.
        package: The package that it needs.
        extra: The extra of eco2-tracing that installs it.
    """

    def __init__(self, feature: str, package: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs {package}, which is not installed: pip install 'eco2-tracing[{extra}]'"
        )
