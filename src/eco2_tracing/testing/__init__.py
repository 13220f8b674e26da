"""Helpers for tests: an OTLP receiver, captured spans, and trace headers of a request.

pytest finds the fixtures ``captured_spans``, ``otlp_receiver`` and ``clean_tracing`` by an entry point.
"""

from eco2_tracing.testing._headers import (
    SPAN_ID,
    TRACE_ID,
    assert_continued,
    assert_sent_on,
    b3_headers,
    traceparent_headers,
)
from eco2_tracing.testing._model import ReceivedEvent, ReceivedLink, ReceivedSpan, ReceivedTrace
from eco2_tracing.testing._receiver import OtlpReceiver
from eco2_tracing.testing._servers import ReceivedRequest, TlsFiles
from eco2_tracing.testing._store import CapturedSpans, SpanStore

__all__ = [
    "SPAN_ID",
    "TRACE_ID",
    "CapturedSpans",
    "OtlpReceiver",
    "ReceivedEvent",
    "ReceivedLink",
    "ReceivedRequest",
    "ReceivedSpan",
    "ReceivedTrace",
    "SpanStore",
    "TlsFiles",
    "assert_continued",
    "assert_sent_on",
    "b3_headers",
    "traceparent_headers",
]
