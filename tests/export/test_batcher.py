"""The batch processor: limits, counts, log lines, flush and shutdown."""

from __future__ import annotations

import logging
import signal
import threading
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.instrumentation.utils import is_http_instrumentation_enabled, is_instrumentation_enabled
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from eco2_tracing._export import SpanBatcher
from eco2_tracing._export.batch.failure_log import QUIET_S, FailureLog
from eco2_tracing._export.batch.queue import SpanQueue
from eco2_tracing._export.result import ExportResult
from eco2_tracing._forks import _forks
from eco2_tracing._protobuf import block, varint
from tests.export.receivers import LIMIT_S, GrpcReceiver, HttpReceiver, eventually
from tests.export.spans import make_span
from tests.support.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.export.conftest import Open


def export_threads() -> list[threading.Thread]:
    """Return our threads that run. One that ended its work is among them until Python has ended it."""
    return [thread for thread in threading.enumerate() if thread.name == "eco2-tracing-export"]


class Recording(SpanExporter):
    """An exporter of the SDK's kind."""

    def __init__(self, results: Sequence[Any] = ()) -> None:
        self.results = list(results)
        self.batches: list[list[str]] = []
        self.suppressed: list[bool] = []
        self.gate = threading.Event()
        self.gate.set()
        self.shutdowns = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Record the batch and return the configured result."""
        self.gate.wait(20)
        self.suppressed.append(is_instrumentation_enabled() or is_http_instrumentation_enabled())
        result = self.results.pop(0) if self.results else SpanExportResult.SUCCESS
        if isinstance(result, BaseException):
            raise result
        self.batches.append([span.name for span in spans])
        return result

    def shutdown(self) -> None:
        """Count."""
        self.shutdowns += 1
        self.gate.set()


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_it_is_the_sdks_processor(open_batcher: Open) -> None:
    """Code that looks for the SDK's type finds it, and the exporter in it."""
    batcher = open_batcher("127.0.0.1:1")
    assert isinstance(batcher, BatchSpanProcessor)
    assert batcher.span_exporter.force_flush()
    assert "127.0.0.1:1" in repr(batcher)


def test_with_a_tracer_provider(grpc_receiver: GrpcReceiver, open_batcher: Open) -> None:
    """Spans of a real tracer arrive, and the provider's flush and shutdown reach the processor."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(open_batcher(grpc_receiver.endpoint))
    with provider.get_tracer("t").start_as_current_span("a"):
        pass
    assert provider.force_flush()
    assert grpc_receiver.names == ["a"]
    provider.shutdown()
    eventually(lambda: not export_threads())


def test_unsampled_spans_are_passed_over() -> None:
    """Spans without the sampled flag, and things that are no span, are not queued."""
    batcher = SpanBatcher(Recording())
    batcher.on_end(make_span(sampled=False))
    batcher.on_end(make_span(context=None))
    batcher.on_end(object())  # type: ignore[arg-type]  # what is tested
    assert batcher.stats().queued == 0
    assert not export_threads()
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(batcher)
    provider.get_tracer("t").start_span("a").end()
    assert batcher.shutdown()
    assert not export_threads()


def test_a_full_batch_goes_at_once() -> None:
    """A full batch is sent before the delay has passed."""
    exporter = Recording()
    batcher = SpanBatcher(exporter, schedule_delay_s=3600, max_batch_size=10)
    for n in range(25):
        batcher.on_end(make_span(f"s{n}"))
    eventually(lambda: len(exporter.batches) == 2)
    assert batcher.stats().queued == 5
    assert batcher.force_flush(20_000)
    assert [name for batch in exporter.batches for name in batch] == [f"s{n}" for n in range(25)]
    assert batcher.shutdown()


def test_the_delay() -> None:
    """A batch that is not full is sent after the delay."""
    exporter = Recording()
    batcher = SpanBatcher(exporter, schedule_delay_s=0.01)
    batcher.on_end(make_span())
    eventually(lambda: batcher.stats().sent == 1)
    assert batcher.shutdown()


def test_a_full_queue_counts_what_it_refuses() -> None:
    """Spans beyond the queue are counted, without a line for each, from any number of threads."""
    exporter = Recording()
    exporter.gate.clear()
    batcher = SpanBatcher(exporter, schedule_delay_s=0.01, max_queue_size=100, max_batch_size=500)

    def work() -> None:
        for _ in range(500):
            batcher.on_end(make_span())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = batcher.stats()
    assert stats.dropped["queue_full"] + stats.queued == 2000
    assert stats.queued <= 200 + 4
    exporter.gate.set()
    assert batcher.force_flush(20_000)
    assert batcher.shutdown()
    assert batcher.stats().sent + batcher.stats().dropped["queue_full"] == 2000


def test_flush_is_truthful_about_time() -> None:
    """A flush that times out returns False, and the export goes on."""
    exporter = Recording()
    exporter.gate.clear()
    batcher = SpanBatcher(exporter)
    batcher.on_end(make_span("slow"))
    assert not batcher.force_flush(50)
    exporter.gate.set()
    assert batcher.force_flush(20_000)
    assert exporter.batches == [["slow"]]
    assert batcher.shutdown()


def test_an_exporter_that_would_end_the_process_ends_nothing() -> None:
    """The export thread survives every exception of an SDK exporter."""
    batcher = SpanBatcher(Recording([SystemExit()]), schedule_delay_s=3600)
    for expected in (False, True):
        batcher.on_end(make_span())
        assert batcher.force_flush(20_000) == expected
    assert (batcher.stats().sent, batcher.stats().dropped["export_failed"]) == (1, 1)
    assert batcher.shutdown()


def test_flush_is_truthful_about_loss() -> None:
    """A flush returns False if spans were lost during it, and only then."""
    exporter = Recording([SpanExportResult.FAILURE, RuntimeError("boom")])
    batcher = SpanBatcher(exporter, schedule_delay_s=3600)
    for expected in (False, False, True):
        batcher.on_end(make_span())
        assert batcher.force_flush(20_000) == expected
    stats = batcher.stats()
    assert (stats.sent, stats.dropped["export_failed"]) == (1, 2)
    assert stats.last_error == "RuntimeError in the exporter"
    assert batcher.force_flush()
    assert batcher.shutdown()
    assert batcher.force_flush()
    assert exporter.shutdowns == 1


def test_flush_from_many_threads() -> None:
    """Concurrent flushes all return."""
    batcher = SpanBatcher(Recording(), schedule_delay_s=3600)
    answers: list[bool] = []

    def work() -> None:
        for _ in range(50):
            batcher.on_end(make_span())
            answers.append(batcher.force_flush(20_000))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * 200
    assert batcher.shutdown()


def test_flush_interrupts_a_backoff(open_batcher: Open) -> None:
    """A flush makes a waiting retry start at once."""
    port = free_port()
    batcher = open_batcher(f"127.0.0.1:{port}")
    batcher.on_end(make_span())
    eventually(lambda: batcher.stats().last_error)
    with GrpcReceiver(port) as receiver:
        assert batcher.force_flush(20_000)
        assert len(receiver.names) == 1
        batcher.shutdown()


def test_flush_in_a_signal_handler_that_interrupts_a_flush(open_batcher: Open) -> None:
    """A signal handler may flush and end spans while its thread does the same."""
    batcher = open_batcher(f"127.0.0.1:{free_port()}")
    handled = []

    def handler(*_: object) -> None:
        batcher.on_end(make_span())
        handled.append(batcher.force_flush(50))

    before = signal.signal(signal.SIGALRM, handler)
    try:
        batcher.on_end(make_span())
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert not batcher.force_flush(300)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert handled == [False]


def test_shutdown_delivers_and_ends() -> None:
    """Shutdown delivers what is queued. Later spans are dropped and counted. A second shutdown does nothing."""
    exporter = Recording()
    batcher = SpanBatcher(exporter, schedule_delay_s=3600)
    for _ in range(700):
        batcher.on_end(make_span())
    assert batcher.shutdown()
    assert batcher.stats().sent == 700
    eventually(lambda: not export_threads())
    batcher.on_end(make_span())
    assert batcher.stats().dropped["shutdown"] == 1
    assert not export_threads()
    batcher.shutdown()
    assert exporter.shutdowns == 1


def test_shutdown_of_one_never_used() -> None:
    """A processor without spans only shuts its exporter down."""
    exporter = Recording()
    assert SpanBatcher(exporter).shutdown()
    assert exporter.shutdowns == 1


def test_a_span_queued_during_a_shutdown_starts_no_thread() -> None:
    """No thread is started after a shutdown."""
    batcher = SpanBatcher(Recording())
    assert batcher.shutdown()
    batcher._start()
    assert not export_threads()


def test_a_span_queued_in_the_moment_of_the_shutdown_is_counted() -> None:
    """A span that is appended during the shutdown is counted as dropped."""
    batcher = SpanBatcher(Recording())
    assert batcher.shutdown()
    batcher._queue.spans.append(make_span())
    stats = batcher.stats()
    assert (stats.queued, stats.dropped["shutdown"]) == (0, 1)
    assert not batcher.shutdown()


def test_shutdown_without_a_collector(open_batcher: Open) -> None:
    """Shutdown without a collector tries a few times, then drops and counts everything."""
    batcher = open_batcher(f"127.0.0.1:{free_port()}", batcher={"schedule_delay_s": 3600})
    for _ in range(3000):
        batcher.on_end(make_span())
    assert not batcher.shutdown(5000)
    stats = batcher.stats()
    assert (stats.queued, sum(stats.dropped.values())) == (0, 3000)
    assert stats.dropped["shutdown"] >= 2048
    eventually(lambda: not export_threads())


def test_shutdown_tries_until_the_collector_comes(grpc_receiver: GrpcReceiver, open_batcher: Open) -> None:
    """A request that fails during the shutdown is retried."""
    grpc_receiver.faults.append((grpc.StatusCode.UNAVAILABLE, "hiccup", ()))
    batcher = open_batcher(grpc_receiver.endpoint, batcher={"schedule_delay_s": 3600})
    batcher.on_end(make_span())
    assert batcher.shutdown(10_000)
    assert grpc_receiver.attempts == 2


class Deaf(Recording):
    """An exporter whose call continues after its shutdown."""

    def shutdown(self) -> None:
        """Count."""
        self.shutdowns += 1


def test_shutdown_of_an_exporter_that_hangs() -> None:
    """Shutdown does not wait for an exporter that hangs, and counts its spans as dropped once."""
    exporter = Deaf()
    exporter.gate.clear()
    batcher = SpanBatcher(exporter, schedule_delay_s=0.01)
    batcher.on_end(make_span())
    eventually(lambda: not batcher._queue.spans)
    assert not batcher.shutdown(100)
    assert exporter.shutdowns == 1
    exporter.gate.set()
    eventually(lambda: not export_threads())
    assert (batcher.stats().sent, batcher.stats().dropped["shutdown"]) == (0, 1)


def test_shutdown_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """If no thread can be started, the calling thread exports."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    exporter = Recording()
    batcher = SpanBatcher(exporter)
    batcher.on_end(make_span("late"))
    assert batcher.shutdown()
    assert exporter.batches == [["late"]]
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_no_threads_after_many_cycles(grpc_receiver: GrpcReceiver, open_batcher: Open) -> None:
    """Twenty processors leave no threads after their shutdown."""
    before = threading.active_count()
    for _ in range(20):
        batcher = open_batcher(grpc_receiver.endpoint)
        batcher.on_end(make_span())
        assert batcher.shutdown(20_000)
    eventually(lambda: not export_threads())
    assert threading.active_count() <= before + 8  # the receiver's own
    assert len(grpc_receiver.names) == 20


def test_deliveries_are_not_traced() -> None:
    """Instrumentation is suppressed in the export thread only."""
    exporter = Recording()
    batcher = SpanBatcher(exporter)
    batcher.on_end(make_span())
    assert batcher.force_flush(20_000)
    assert exporter.suppressed == [False]
    assert not context_api.get_current()
    assert batcher.shutdown()


def test_an_old_batch_makes_room(grpc_receiver: GrpcReceiver, open_batcher: Open) -> None:
    """A batch that cannot be delivered is dropped only once the queue is full."""
    grpc_receiver.always = (grpc.StatusCode.UNAVAILABLE, "never", ())
    batcher = open_batcher(
        grpc_receiver.endpoint, batcher={"max_queue_size": 5, "max_batch_size": 5, "export_timeout_s": 0.3}
    )
    batcher.on_end(make_span())
    eventually(lambda: grpc_receiver.attempts >= 2)
    assert batcher.stats().queued == 1
    for n in range(20):
        batcher.on_end(make_span(f"s{n}"))
    eventually(lambda: batcher.stats().dropped["export_failed"])
    batcher.shutdown(1)


def test_the_servers_wish_is_respected(grpc_receiver: GrpcReceiver, open_batcher: Open) -> None:
    """A flush respects the delay that a server asked for; a shutdown does not wait for it."""
    trailers = (("google.rpc.retryinfo-bin", block(b"\x0a", b"\x08" + varint(600))),)
    grpc_receiver.faults.append((grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", trailers))
    batcher = open_batcher(grpc_receiver.endpoint)
    batcher.on_end(make_span())
    eventually(lambda: batcher.stats().last_error)
    assert not batcher.force_flush(100)
    assert grpc_receiver.attempts == 1
    assert batcher.shutdown(20_000)
    assert len(grpc_receiver.names) == 1


@pytest.mark.parametrize(("asked", "least"), [(0.0, 0.4), (0.1, 0.4), (30.0, 30.0), (None, 0.4)])
def test_a_server_that_asks_for_no_delay_is_not_asked_without_one(asked: float | None, least: float) -> None:
    """A requested delay of zero or in the past does not shorten our own backoff."""
    batcher = SpanBatcher(Recording(), clock=Clock())
    pause = batcher._worker()._backoff(1, 1000.0, ExportResult("retry", "busy", retry_after_s=asked))
    assert least <= pause <= max(least, 0.5)


def test_shutdown_does_not_wait_for_a_delay_beyond_its_end(
    http_receiver: HttpReceiver, open_batcher: Open
) -> None:
    """After one more try, shutdown does not wait for a delay that ends after it."""
    http_receiver.always = (503, {"Retry-After": "60"})
    batcher = open_batcher(http_receiver.endpoint)
    batcher.on_end(make_span())
    eventually(lambda: batcher.stats().last_error)
    ending = threading.Thread(target=batcher.shutdown, args=(50_000,), daemon=True)
    ending.start()
    ending.join(LIMIT_S)
    assert not ending.is_alive()
    assert http_receiver.attempts == 2
    assert batcher.stats().dropped["shutdown"] == 1


class Broken:
    """An exporter whose methods raise."""

    endpoint = "broken"

    def encode_span(self, span: Any) -> Any:
        """Return the span itself."""
        return span

    def encode(self, spans: Any) -> Any:
        """Fail."""
        raise RuntimeError("boom")

    def close(self) -> None:
        """Fail too."""
        raise RuntimeError("boom")


def test_a_fault_of_our_own(caplog: pytest.LogCaptureFixture) -> None:
    """An internal failure is logged, its batch is counted, and the processor goes on."""
    batcher = SpanBatcher(Broken())  # type: ignore[arg-type]  # what is tested
    batcher.on_end(make_span())
    assert not batcher.force_flush(20_000)
    assert batcher.stats().dropped["export_failed"] == 1
    batcher.shutdown()
    assert "delivering" in caplog.text


@pytest.fixture
def reporting(caplog: pytest.LogCaptureFixture) -> Any:
    """A failure log, its clock, its queue and the log."""
    clock = Clock()
    queue = SpanQueue(10, 5, clock)
    caplog.set_level(logging.INFO)
    return FailureLog("collector:4317", queue, clock), clock, queue, caplog


def test_an_outage_is_two_lines_at_most_a_minute(reporting: Any) -> None:
    """An outage is logged once a minute with the counts; its end is logged once."""
    reporter, clock, queue, log = reporting
    for second in range(121):
        reporter.failed("refused")
        if second == 30:
            queue.refuse()
        clock.now += 1
    reporter.delivered()
    reporter.delivered()
    lines = log.messages
    assert len(lines) == 4
    assert lines[0].startswith("Spans do not reach collector:4317: refused (0 queued, 0 dropped so far)")
    assert "1 dropped" in lines[1]
    assert lines[3] == "Spans reach collector:4317 again after 121 s (0 queued, 1 dropped so far)"


def test_an_outage_begins_with_the_request_that_failed(reporting: Any) -> None:
    """The logged duration includes the first call, which may have timed out."""
    reporter, clock, _, log = reporting
    begun = clock.now
    clock.now += 10
    reporter.failed("timed out", since=begun)
    clock.now += 2
    reporter.failed("timed out", since=clock.now)
    reporter.delivered()
    assert "again after 12 s" in log.messages[-1]


def test_coming_and_going_stays_quiet(reporting: Any) -> None:
    """A collector that comes and goes every second makes two lines a minute."""
    reporter, clock, _, log = reporting
    for _ in range(int(QUIET_S) - 1):
        reporter.failed("refused")
        reporter.delivered()
        clock.now += 1
    assert len(log.messages) == 2


@pytest.mark.parametrize(
    ("reason", "told", "cure"),
    [
        (None, "Spans do not reach collector:4317", "OTEL_TRACES_EXPORTER to waterfall"),
        ("export_failed", "Spans do not reach collector:4317", "set OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("rejected", "collector:4317 refuses spans", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("unauthenticated", "collector:4317 does not accept the credentials", "OTEL_EXPORTER_OTLP_HEADERS"),
    ],
)
def test_a_report_says_what_becomes_of_the_spans(reporting: Any, reason: Any, told: str, cure: str) -> None:
    """The line says whether the spans are retried or dropped, and names the variable to check."""
    reporter, _, queue, log = reporting
    reporter.failed("why", reason, 3 if reason else 0)
    (line,) = log.messages
    assert line.startswith(told)
    assert cure in line
    assert ("retrying" in line) == (reason is None)
    assert f"{3 if reason else 0} dropped so far" in line
    assert queue.stats("x").last_error == "why"


def test_a_receivers_advice(reporting: Any) -> None:
    """A receiver's message about accepted spans is logged at most once a minute. It ends an outage."""
    reporter, clock, queue, log = reporting
    for _ in range(3):
        reporter.advised("partial success, 0 spans rejected: beware")
    assert log.messages == [
        "collector:4317 accepts the spans with a message: partial success, 0 spans rejected: beware"
    ]
    assert "beware" in queue.stats("x").last_error
    clock.now += QUIET_S
    reporter.failed("refused")
    reporter.advised("beware")
    assert log.messages[-1].startswith("Spans reach collector:4317 again")


def test_an_overflow_is_told_with_its_cure(reporting: Any) -> None:
    """Spans dropped by a full queue are logged at most once a minute."""
    reporter, clock, queue, log = reporting
    queue.capacity = 4  # the rest of the room is taken
    for _ in range(3):
        queue.refuse()
        reporter.delivered()
        clock.now += 1
    clock.now += QUIET_S
    reporter.delivered()
    assert [line.split(" spans")[0] for line in log.messages] == ["1", "2"]
    assert "OTEL_BSP_MAX_QUEUE_SIZE is 10:" in log.text


def test_a_log_handler_that_raises(reporting: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception of a log handler does not stop the export."""
    reporter, _, queue, _ = reporting

    class Raising(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "Spans do not" in record.getMessage():
                raise RuntimeError("handler")

    handler = Raising()
    logger = logging.getLogger("eco2_tracing")
    logger.addHandler(handler)
    try:
        reporter.failed("refused")
    finally:
        logger.removeHandler(handler)
    assert queue.stats("x").last_error == "refused"


def test_a_forked_child_begins_anew(grpc_receiver: GrpcReceiver, open_batcher: Open) -> None:
    """After a fork, the parent's spans are dropped in the child, and the child's arrive."""
    batcher = open_batcher(grpc_receiver.endpoint, batcher={"schedule_delay_s": 3600})
    batcher.on_end(make_span("one"))
    assert batcher.force_flush(20_000)
    parents = batcher._queue
    batcher.after_fork()
    parents.stop(0)  # its thread, which no child would have
    eventually(lambda: not export_threads())
    assert (batcher.stats().sent, batcher.stats().queued) == (0, 0)
    batcher.on_end(make_span("two"))
    assert batcher.force_flush(20_000)
    assert grpc_receiver.names == ["one", "two"]
    batcher.shutdown()
    batcher.after_fork()
    batcher.on_end(make_span("late"))
    assert batcher.stats().dropped["shutdown"] == 1
    foreign = SpanBatcher(Recording())
    foreign.after_fork()
    assert foreign.shutdown()


def test_a_fault_after_a_fork(caplog: pytest.LogCaptureFixture) -> None:
    """An exception in the fork hook is logged and does not reach the child."""
    batcher = SpanBatcher(Broken())  # type: ignore[arg-type]  # what is tested
    _forks.renew()
    assert "forked process" in caplog.text
    del batcher


def test_shutdown_by_the_worker_itself() -> None:
    """Shutdown in the export thread does not wait for that thread."""

    class Suicidal(Recording):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            batcher.shutdown()
            return super().export(spans)

    batcher = SpanBatcher(Suicidal(), schedule_delay_s=0.01)
    batcher.on_end(make_span())
    eventually(lambda: batcher._thread is not None and not export_threads())
    assert batcher.stats().dropped["shutdown"] == 1


def test_a_start_that_is_interrupted() -> None:
    """A span that ends while the thread is being started is queued and starts no second thread."""
    batcher = SpanBatcher(Recording())
    batcher._starting.acquire()
    batcher.on_end(make_span())
    assert not export_threads()
    batcher._starting.release()
    assert batcher.force_flush(20_000)
    assert batcher.shutdown()
