"""What may be held and kept is bounded, and every loss is counted."""

from __future__ import annotations

import threading
import tracemalloc

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.trace import SpanContext, StatusCode

import eco2_tracing
from eco2_tracing import TracingSettings
from eco2_tracing.sampling._tail.limits import TailLimits, TokenBucket
from eco2_tracing.testing import CapturedSpans, b3_headers
from tests.tail_sampling.conftest import HALF, Local, caller

REASON, PROBABILITY = "eco2.sampling.reason", "eco2.sampling.probability"


def failing(local, children=1):
    """Run a local trace whose last child fails."""
    root = local.start("root", caller())
    for _ in range(children - 1):
        local.start("child", root).end()
    local.fail("failing", root)
    root.end()


def test_the_cap_is_charged_once_a_trace():
    """Ten errors of one trace cost as much as one."""
    local = Local(limits=TailLimits(kept_per_second=2))
    for _ in range(3):
        root = local.start("root", caller())
        for _ in range(10):
            local.fail("failing", root)
        root.end()
    assert len(local.exported) == 22
    assert local.tail_sampler.buffer.kept == {"error": 2}


def test_a_refused_trace_goes_out_nowhere():
    """Nothing of it is exported or sent to called services, and all of it is counted."""
    local = Local(limits=TailLimits(kept_per_second=0))
    root = local.start("root", caller())
    local.start("held", root).end()
    open_one = local.start("open", root)
    local.fail("failing", root)
    assert root.get_span_context().trace_flags == open_one.get_span_context().trace_flags == 0
    assert not local.start("later", root).is_recording()
    open_one.end()
    root.end()
    assert (local.exported, local.is_empty()) == ([], True)
    assert local.tail_sampler.buffer.dropped == {"kept_traces_cap": 4}


def test_a_slow_trace_that_was_refused():
    """Its error was over the cap; that it is slow as well changes nothing."""
    local = Local(limits=TailLimits(kept_per_second=0), slow_ms=1)
    root = local.start("root", caller(), start_time=1)
    local.fail("failing", root)
    root.end()
    assert local.exported == []
    assert local.tail_sampler.buffer.dropped == {"kept_traces_cap": 2}


def test_another_thread_is_faster(local):
    """Two spans fail at once: the one that comes second finds the trace decided."""
    root = local.start("root", caller())
    faster = []

    def tick():
        if not faster:
            faster.append(local.tail_sampler.buffer)
            assert root.local_trace.keep("error")

    local.tick = tick
    assert root.local_trace.keep("error")
    local.tick = lambda: None
    root.end()
    assert local.tail_sampler.buffer.kept == {"error": 1}


def test_the_cap_refills():
    """So many a second, with a burst of one second's worth."""
    local = Local(limits=TailLimits(kept_per_second=10))
    kept = []
    for now in (0.0, 0.5, 100.0):
        local.now = now
        for _ in range(50):
            failing(local)
        kept.append(local.tail_sampler.buffer.kept["error"])
    assert kept == [10, 15, 25]


def test_no_probability_is_claimed_while_the_cap_refuses():
    """Nor for a second after: what was kept of how many is not known."""
    local = Local(limits=TailLimits(kept_per_second=2))
    known = []
    for now in (0.0, 0.0, 0.0, 0.6, 2.0):
        local.now = now
        failing(local)
        known += [PROBABILITY in span.attributes for span in local.exported if span.name == "root"]
        local.exported.clear()
    assert known == [True, True, False, True]


def test_a_bucket_tells_whether_it_refused_lately():
    """By its own clock."""
    now = [5.0]
    bucket = TokenBucket(1, lambda: now[0])
    assert (bucket.take(), bucket.lately_refused(), bucket.take()) == (True, False, False)
    assert bucket.lately_refused()
    now[0] = 6.0
    assert not bucket.lately_refused()


def test_the_oldest_undecided_trace_makes_room():
    """Its spans are counted; it may still be kept with what comes."""
    local = Local(limits=TailLimits(traces=2))
    roots = [local.start(f"root {n}", caller()) for n in range(3)]
    for n, root in enumerate(roots):
        local.start(f"held {n}", root).end()
    assert local.holds == (2, 2)
    assert local.tail_sampler.buffer.dropped == {"evicted": 1}
    for n, root in enumerate(roots):
        local.fail(f"failing {n}", root)
        root.end()
    assert [f"held {n}" in local.names for n in range(3)] == [False, True, True]
    assert [f"root {n}" in local.names for n in range(3)] == [True, True, True]
    assert local.is_empty()


def test_the_number_of_spans_is_bounded():
    """Over all traces; a chosen trace's spans are not lost, they go out early."""
    local = Local(limits=TailLimits(spans=4))
    chosen, undecided = local.start("chosen", caller(sampled=True)), local.start("undecided", caller())
    for n in range(3):
        local.start(f"chosen {n}", chosen).end()
    for n in range(3):
        local.start(f"undecided {n}", undecided).end()
    assert local.names == ["chosen 0", "chosen 1", "chosen 2"]
    assert local.holds == (1, 3)
    assert local.tail_sampler.buffer.dropped == {}


def test_what_is_held_has_an_age():
    """Counted from the first held span, so that a connection of hours still has its last minutes."""
    local = Local(limits=TailLimits(age_s=60))
    old = local.start("old", caller())
    local.now = 1_000.0
    local.start("first", old).end()
    local.now = 1_059.0
    other = local.start("other", caller())
    local.start("second", other).end()
    assert local.holds == (2, 2)
    local.now = 1_061.0
    local.start("third", local.start("another", caller())).end()
    assert local.holds == (2, 2)
    assert local.tail_sampler.buffer.dropped == {"evicted": 1}


def test_a_cut_keeps_one_tree():
    """Of too many spans the oldest go, never an ancestor of one that is open: what is kept hangs together."""
    local = Local(limits=TailLimits(spans_per_trace=16))
    root = local.start("root", caller())
    parent = local.start("parent", root)
    inner = local.start("inner", parent)
    task = local.start("task", inner)
    inner.end()
    parent.end()
    for n in range(100):
        local.start(f"{n:03}", root).end()
    local.fail("failing", task)
    task.end()
    root.end()
    ids = {span.context.span_id for span in local.exported}
    assert [span.name for span in local.exported if span.parent.span_id not in ids] == ["root"]
    assert {"parent", "inner", "task", "failing", "root", "099"} <= set(local.names)
    assert "000" not in local.names
    assert len(local.exported) + local.tail_sampler.buffer.dropped["trace_too_large"] == 105
    assert local.is_empty()


def test_a_cut_keeps_errors_and_their_ancestors():
    """Where only slowness keeps a trace, the failed spans in it are worth more than others."""
    local = Local(limits=TailLimits(spans_per_trace=16), error_rate=0.5, slow_ms=1)
    root = local.start("root", caller(trace_id=HALF), start_time=1)
    middle = local.start("middle", root)
    local.fail("failing", middle)
    middle.end()
    for n in range(100):
        local.start(f"{n:03}", root).end()
    root.end()
    assert {"middle", "failing", "root", "099"} <= set(local.names)
    assert local.named("root").attributes == {REASON: "slow", PROBABILITY: 1.0}


def test_a_cut_where_all_is_worth_keeping():
    """The bound holds all the same: the oldest go."""
    local = Local(limits=TailLimits(spans_per_trace=8), error_rate=0.5, slow_ms=1)
    root = local.start("root", caller(trace_id=HALF), start_time=1)
    for n in range(12):
        local.fail(f"{n:02}", root)
    assert local.holds[1] <= 8
    root.end()
    assert "00" not in local.names
    assert "11" in local.names


LONG = "x" * 100_000


def test_the_bytes_of_heavy_spans_are_bounded():
    """What finds no room is cut from them; errors, names and ids stay, and no span is dropped for its size."""
    local = Local(limits=TailLimits(bytes=1_000_000))
    traces = []
    for _ in range(10):
        root = local.start("root", caller())
        for number in range(10):
            child = local.start(f"child{number}", root)
            child.set_attributes({"n": number, "text": LONG + str(number)})
            child.end()
        traces.append(root)
    held = [span for each in traces for span in each.local_trace.held]
    texts = sum(len(span.attributes["text"]) for span in held)
    assert 900_000 < texts < 1_000_000 + 90 * 4096
    local.fail("failing", traces[-1])
    for root in traces:
        root.end()
    assert local.tail_sampler.buffer.dropped == {}
    assert [span.name for span in local.exported] == [*(f"child{n}" for n in range(10)), "failing", "root"]
    assert [span.attributes["n"] for span in local.exported[:10]] == list(range(10))
    assert all(span.get_span_context().trace_flags.sampled for span in local.exported)
    assert len(local.exported[0].attributes["text"]) < 4096

    # There is room as before once they are gone.
    root = local.start("root", caller())
    local.start("child", root, attributes={"text": LONG}).end()
    assert root.local_trace.held[0].attributes["text"] == LONG
    root.end()
    assert local.is_empty()


HEAVY = {
    "text": lambda span: span.set_attribute("a", LONG),
    "bytes": lambda span: span.set_attribute("a", LONG.encode()),
    "number": lambda span: span.set_attribute("a", 1 << 800_000),
    "sequence": lambda span: span.set_attribute("a", [LONG, LONG]),
    "many": lambda span: span.set_attributes({f"key{n}": "x" * 200 for n in range(128)}),
    "event": lambda span: span.add_event("e", {"a": LONG}),
    "link": lambda span: span.add_link(caller_context(), {"a": LONG}),
    "name": lambda span: span.update_name(LONG),
}


def caller_context():
    """A context to link to."""
    return SpanContext(1, 2, is_remote=True)


@pytest.mark.parametrize("kind", HEAVY)
def test_what_makes_a_held_span_heavy(kind):
    """Wherever the bytes are, they are found; without room next to nothing of them stays."""
    local = Local(limits=TailLimits(bytes=0))
    root = local.start("root", caller())
    child = local.start("child", root)
    HEAVY[kind](child)
    child.end()
    (held,) = root.local_trace.held
    parts = (held, *held.events, *held.links)
    told = [held.name, *(dict(part.attributes or {}) for part in parts)]
    assert len(repr(told)) < 10_000
    root.end()


def test_a_cut_makes_room_for_heavy_spans():
    """What a long local trace has let go of is not counted against what it holds now."""
    local = Local(limits=TailLimits(spans_per_trace=16, bytes=800_000))
    root = local.start("root", caller())
    for _ in range(100):
        local.start("child", root, attributes={"text": LONG[:40_000]}).end()
    assert all(len(span.attributes["text"]) == 40_000 for span in root.local_trace.held)
    root.end()


def test_a_large_chosen_trace_goes_out_in_portions():
    """The head chose it: nothing of it is cut."""
    local = Local(limits=TailLimits(spans_per_trace=8))
    root = local.start("root", caller(sampled=True))
    for n in range(100):
        local.start(f"{n:03}", root).end()
    root.end()
    assert len(local.exported) == 101
    assert local.tail_sampler.buffer.dropped == {}


def test_a_flush_lets_chosen_spans_out(local):
    """What the head chose need not wait for its root; what is undecided has to."""
    chosen, undecided = local.start("chosen", caller(sampled=True)), local.start("undecided", caller())
    for root in (chosen, undecided):
        local.start("child", root).end()
    local.tail_sampler.buffer.release_sampled()
    assert local.names == ["child"]
    chosen.end()
    assert local.names == ["child", "chosen"]


def test_a_forked_child_starts_empty(local):
    """What was begun before belongs to the parent process; what begins in it is a callee's."""
    root, chosen = local.start("root", caller()), local.start("chosen", caller(sampled=True))
    held = local.start("held", root)
    local.start("gone", root).end()
    failing(local)
    local.exported.clear()
    local.tail_sampler.after_fork()
    assert (local.is_empty(), local.tail_sampler.buffer.kept, local.tail_sampler.buffer.dropped) == (
        True,
        {},
        {},
    )
    local.fail("below", held)
    local.start("below chosen", chosen).end()
    root.set_status(StatusCode.ERROR)
    for span in (held, root, chosen):
        span.end()
    assert local.names == ["below", "below chosen"]
    below = local.named("below")
    assert (below.parent.span_id, below.attributes[REASON]) == (held.get_span_context().span_id, "error")


def test_nothing_is_emitted_under_a_lock(local):
    """While one thread exports, another one goes on with the same trace."""
    root = local.start("root", caller())
    alive = []

    def emit(span):
        local.exported.append(span)
        thread = threading.Thread(target=local.fail, args=("elsewhere", root))
        if len(local.exported) == 1:
            thread.start()
            thread.join(10)
            alive.append(thread.is_alive())

    root.local_trace.buffer._exporter._emit = emit
    local.start("child", root).end()
    local.fail("failing", root)
    root.end()
    assert alive == [False]
    assert local.names == ["child", "elsewhere", "failing", "root"]


def test_a_signal_may_come_at_any_time(local):
    """Its handler flushes in the main thread, in the middle of whatever that was doing."""
    chosen = local.start("chosen", caller(sampled=True))
    root = local.start("root", caller())
    inside = []

    def handler():
        if not inside:
            inside.append(True)
            local.tail_sampler.buffer.release_sampled()
            local.fail("abandoned", root)
            inside.clear()

    local.tick = handler
    for _ in range(3):
        local.start("child", chosen).end()
    chosen.end()
    root.end()
    assert local.names.count("child") == 3
    assert set(local.names) == {"abandoned", "child", "chosen", "root"}
    assert local.is_empty()


@pytest.mark.parametrize("threads", [4])
def test_threads_that_fail_at_once(threads):
    """However many fail together, the cap is charged once and each span is exported once."""
    local = Local(limits=TailLimits(kept_per_second=20))
    for _ in range(20):
        root = local.start("root", caller())
        gate = threading.Barrier(threads)

        def work(root=root, gate=gate):
            gate.wait(10)
            local.fail("failing", root)

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        root.end()
    assert len(local.exported) == len({id(span) for span in local.exported}) == 20 * (threads + 1)
    assert local.tail_sampler.buffer.kept == {"error": 20}


def test_a_request_that_records_megabytes():
    """What its libraries say waits for its end in bounded memory, and arrives cut where it fails."""
    captured = CapturedSpans()
    settings = TracingSettings(traces_exporter=("none",))
    eco2_tracing.configure_tracing("orders", settings=settings, span_processors=())
    app = FastAPI()
    eco2_tracing.instrument_app(app)
    grown = []

    @app.get("/")
    def megabytes():
        tracer = trace.get_tracer("library")
        tracemalloc.start()
        try:
            for number in range(100):
                text = chr(97 + number % 26) * 1_000_000
                tracer.start_span("query", attributes={"number": number, "text": text}).end()
            del text
            grown.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
        trace.get_tracer_provider().add_span_processor(captured)
        raise ValueError

    with TestClient(app, raise_server_exceptions=False) as client:
        client.get("/", headers=b3_headers(sampled=False))
    assert grown[0] < TailLimits().bytes + 1_000_000
    queries = [span for span in captured.spans if span.name == "query"]
    assert [span.attributes["number"] for span in queries] == list(range(100))
    assert all(span.attributes["text"][:10] for span in queries)
