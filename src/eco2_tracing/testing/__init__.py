"""Helpers for tests: an OTLP receiver, received spans, headers of an inbound trace."""

from eco2_tracing.testing._faults import ReceivedRequest
from eco2_tracing.testing._model import ReceivedEvent, ReceivedLink, ReceivedSpan, ReceivedTrace
from eco2_tracing.testing._receiver import OtlpReceiver
from eco2_tracing.testing._servers import TlsFiles
from eco2_tracing.testing._store import SpanStore

__all__ = [
    "OtlpReceiver",
    "ReceivedEvent",
    "ReceivedLink",
    "ReceivedRequest",
    "ReceivedSpan",
    "ReceivedTrace",
    "SpanStore",
    "TlsFiles",
]
