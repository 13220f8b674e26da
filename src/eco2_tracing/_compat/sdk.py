"""Private names of `opentelemetry-sdk`. Checked with 1.44 and 1.45."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

_Provider = TypeVar("_Provider")


class WithoutForkHook:
    """A base for a tracer provider that detects nothing anew in a forked child.

    The SDK's hook (`TracerProvider._handle_fork`, 1.45) runs resource detectors in a thread pool inside the fork, which
    delays each child and may outlast a short one. Our lifecycle gives the child its resource. An SDK without the hook
    ignores this method.
    """

    def _handle_fork(self) -> None:
        return


def console_log_exporter() -> type:
    """Return the SDK's exporter of log records to the console, whose public name changed in 1.39."""
    from opentelemetry.sdk._logs import export

    found: type = getattr(export, "ConsoleLogRecordExporter", None) or export.ConsoleLogExporter
    return found


def with_limits(make: Callable[..., _Provider], limits: object) -> _Provider:
    """Call a class of logger providers with limits. Before 1.45 it took none, and read them from the environment."""
    try:
        return make(log_record_limits=limits)
    except TypeError:
        return make()


def record_limits(count: int, length: int | None, kind: Any = None) -> object:
    """Return the SDK's limits of log records; ``None`` before 1.45, whose limits have no value for "none".

    What is not given the SDK would read from the environment, and raise for a bad value.

    Args:
        count: Attributes of a record.
        length: Characters of a value; ``None`` is no limit.
        kind: The class, for tests.
    """
    from opentelemetry.sdk._logs import LogRecordLimits

    kind = kind or LogRecordLimits
    unlimited = getattr(kind, "UNSET", None)
    if unlimited is None:
        return None
    most = unlimited if length is None else length
    return kind(count, most, count, most)
