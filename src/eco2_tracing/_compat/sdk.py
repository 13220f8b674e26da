"""Private names of `opentelemetry-sdk`. Checked with 1.44 and 1.45."""

from __future__ import annotations


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
