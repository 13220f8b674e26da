"""What is exported of a local trace, through the SDK alone: whatever library made its spans."""

from __future__ import annotations

import pytest
from opentelemetry.trace import SpanKind, Status, StatusCode, TraceState

from tests.tail_sampling.conftest import HALF, Local, caller

REASON, PROBABILITY = "eco2.sampling.reason", "eco2.sampling.probability"


def test_what_goes_well_is_forgotten(local):
    """Neither root nor child of an unsampled trace is exported, and nothing is held on to."""
    root = local.start("root", caller())
    local.start("child", root).end()
    assert root.is_recording()
    root.end()
    assert (local.exported, local.is_empty(), local.tail_sampler.buffer.dropped) == ([], True, {})


@pytest.mark.parametrize("parent", [None, caller()], ids=["a script", "a remote parent"])
def test_an_error_anywhere_keeps_the_whole_subtree(parent):
    """Spans before, beside and after the failing one, with a sampled context."""
    local = Local()
    root = local.start("root", parent)
    before, beside = local.start("before", root), local.start("beside", root)
    local.start("leaf", before).end()
    before.end()
    local.fail("failing", beside)
    beside.end()
    local.start("after", root).end()
    root.end()
    assert local.names == ["after", "before", "beside", "failing", "leaf", "root"]
    assert {span.context.trace_flags & 1 for span in local.exported} == {1}
    assert {span.context.trace_state.get("ot") for span in local.exported} == {"th:0"}
    assert local.named("root").attributes == {REASON: "error", PROBABILITY: 1.0}
    assert REASON not in local.named("failing").attributes
    assert local.tail_sampler.buffer.kept == {"error": 1}
    assert local.is_empty()


def test_a_failing_root_is_an_error(local):
    """An exception that leaves the local root keeps what it did."""
    with pytest.raises(ValueError, match="no"), local.tracer.start_as_current_span("root", caller()) as root:
        local.start("child", root).end()
        raise ValueError("no")
    assert local.names == ["child", "root"]
    assert local.named("root").attributes[REASON] == "error"


@pytest.mark.parametrize(
    ("kind", "attributes", "kept"),
    [
        (SpanKind.CLIENT, {"http.response.status_code": 404}, False),
        (SpanKind.CLIENT, {"http.status_code": 499}, False),
        (SpanKind.CLIENT, {"http.response.status_code": 500}, True),
        (SpanKind.CLIENT, {"http.response.status_code": "404"}, True),
        (SpanKind.CLIENT, {}, True),
        (SpanKind.INTERNAL, {"http.response.status_code": 404}, True),
    ],
)
def test_a_4xx_answer_to_a_call_is_no_failure(local, kind, attributes, kept):
    """Callers often expect such a response."""
    root = local.start("root", caller())
    call = local.start("call", root, kind=kind, attributes=attributes)
    call.set_status(Status(StatusCode.ERROR))
    call.end()
    root.end()
    assert bool(local.exported) is kept


def test_what_runs_after_the_failure_is_sampled_at_once(local):
    """Calls of open and of new spans are sampled from then on; earlier ones were not."""
    root = local.start("root", caller())
    open_one = local.start("open", root)
    assert [span.get_span_context().trace_flags for span in (root, open_one)] == [0, 0]
    local.fail("failing", root)
    assert [span.get_span_context().trace_flags for span in (root, open_one)] == [1, 1]
    later = local.start("later", open_one)
    assert later.get_span_context().trace_flags == 1
    assert later.get_span_context().trace_state.get("ot") == "th:0"


def test_a_span_below_one_that_had_ended_is_sampled_too(local):
    """A task may go on in the context of a span that ended before the failure."""
    root = local.start("root", caller())
    ended = local.start("ended", root)
    ended.end()
    local.fail("failing", root)
    late = local.start("late", ended)
    assert late.get_span_context().trace_flags == 1
    assert late.get_span_context().trace_state.get("ot") == "th:0"
    late.end()
    root.end()
    assert local.names == ["ended", "failing", "late", "root"]


def test_a_span_that_begins_while_another_thread_keeps_the_trace(local):
    """Between the sampler's answer and the processor's turn the decision may fall."""
    root = local.start("root", caller())
    decide = local.sampler.decide

    def decided_then_failed(*arguments):
        answer = decide(*arguments)
        root.local_trace.keep("error")
        return answer

    local.tracer.factory.decide = decided_then_failed
    span = local.start("between", root)
    assert span.get_span_context().trace_flags == 1


def test_late_spans_follow_the_decision(local):
    """Those of a kept trace are exported; those of a forgotten one are not even recorded."""
    kept, forgotten = local.start("kept", caller()), local.start("forgotten", caller())
    local.fail("failing", kept)
    kept.end()
    forgotten.end()
    late = local.start("late", kept)
    late.end()
    lost = local.start("lost", forgotten)
    assert (lost.is_recording(), lost.get_span_context().trace_flags) == (False, 0)
    assert not local.start("below", lost).is_recording()
    assert local.names == ["failing", "kept", "late"]


def test_a_late_error_still_keeps_what_is_held(local):
    """As long as a span is open, its root waits; the root is exported once, with the rest."""
    root = local.start("root", caller())
    task = local.start("task", root)
    local.start("child", root).end()
    root.end()
    assert local.exported == []
    local.fail("failing", task)
    assert local.names == ["child", "failing", "root"]
    task.end()
    root.end()
    assert local.names == ["child", "failing", "root", "task"]
    assert {span.context.trace_flags for span in local.exported} == {1}
    assert local.tail_sampler.buffer.kept == {"error": 1}


def test_the_last_open_span_ends_well(local):
    """Then the local trace that waited for it is forgotten."""
    root = local.start("root", caller())
    task = local.start("task", root)
    root.end()
    task.end()
    assert (local.exported, local.is_empty()) == ([], True)
    assert not local.start("late", root).is_recording()


def test_spans_that_nobody_ends(local):
    """They are no obstacle to keeping, and a root as old as the process does not collect them."""
    root = local.start("root", caller())
    for number in range(1_500):
        local.start(f"never {number}", root)
    assert len(root.local_trace.open) == 1_000
    local.fail("failing", root)
    root.end()
    assert local.names == ["failing", "root"]


def test_more_open_spans_than_are_kept_track_of(local):
    """One of the oldest may end last: its trace was decided without it."""
    root = local.start("root", caller())
    spans = [local.start("span", root) for _ in range(1_001)]
    for span in [*spans[1:], spans[0]]:
        span.end()
    root.end()
    assert (local.exported, local.is_empty()) == ([], True)


def test_a_root_that_is_finished_twice(local):
    """The second time says nothing new."""
    root = local.start("root", caller())
    local.fail("failing", root)
    root.end()
    root.local_trace.finish()
    assert local.names == ["failing", "root"]


def test_times_that_the_application_gives(local):
    """They stay as they are; those of the moment follow the local trace's own clock."""
    root = local.start("root", caller(sampled=True), start_time=10)
    local.start("child", root).end(end_time=20)
    root.end(end_time=30)
    assert local.named("child").end_time == 20
    assert (local.named("root").start_time, local.named("root").end_time) == (10, 30)


def test_status_ok_after_an_error_changes_nothing_that_was_decided(local):
    """A child failed; that the root then says OK does not take the trace back."""
    root = local.start("root", caller())
    local.fail("failing", root)
    root.set_status(StatusCode.OK)
    root.end()
    assert local.names == ["failing", "root"]
    assert local.named("root").status.status_code is StatusCode.OK


def test_a_status_that_was_mended_before_the_end_is_no_failure(local):
    """What counts of a span of another library is the status that it ends with."""
    root = local.start("root", caller())
    child = local.start("child", root)
    child.set_status(StatusCode.ERROR)
    child.set_status(StatusCode.OK)
    child.end()
    root.end()
    assert local.exported == []


def test_the_callers_decision_is_followed():
    """A sampled caller's local trace is exported; its probability is the caller's affair."""
    local = Local()
    root = local.start("root", caller(sampled=True))
    local.start("child", root).end()
    root.end()
    assert local.names == ["child", "root"]
    assert local.named("root").attributes == {REASON: "head"}
    assert [span.context.trace_state.to_header() for span in local.exported] == ["", ""]


def test_what_came_in_without_a_decision_is_ours_to_decide():
    """Deferred: the head sampler chooses, and says with which probability."""
    local = Local(arg="0.5")
    local.said = local.said._replace(deferred=True)
    local.start("chosen", caller(trace_id=HALF - 1)).end()
    local.start("not chosen", caller(trace_id=HALF)).end()
    assert local.names == ["chosen"]
    assert local.named("chosen").attributes == {REASON: "head", PROBABILITY: 0.5}


def test_a_bare_accept_is_followed():
    """No ids, but a decision: a new trace, sampled."""
    local = Local()
    local.said = local.said._replace(accepted=True)
    local.start("root").end()
    assert local.named("root").attributes == {REASON: "head"}


def test_a_bare_deny_stops_keeping(local):
    """Nothing is recorded, failing or not, and nothing below is."""
    local.said = local.said._replace(denied=True)
    root = local.start("root", caller())
    assert not root.is_recording()
    local.fail("failing", root)
    assert local.exported == []


def test_a_context_made_by_hand_is_a_callers():
    """Consumers that build a span context forget to call it remote: a sampled one counts as a caller's."""
    local = Local()
    local.start("root", caller(sampled=True, remote=False)).end()
    assert local.names == ["root"]
    assert not local.start("root", caller(remote=False)).is_recording()


def test_an_error_rate_keeps_a_share_of_the_traces():
    """The same traces in every service; what is not in the share is not even recorded."""
    local = Local(error_rate=0.5)
    inside, outside = caller(trace_id=HALF - 1), caller(trace_id=HALF)
    local.fail("inside", inside)
    assert not local.start("outside", outside).is_recording()
    assert local.named("inside").attributes == {REASON: "error"}


def test_processors_hear_of_recorded_spans_only(local):
    """The application's ``on_start`` sees what may be exported."""
    root = local.start("root", caller())
    local.start("child", root)
    local.said = local.said._replace(denied=True)
    local.start("denied", caller())
    assert [span.name for span in local.started] == ["root", "child"]


def test_no_processors_to_hear():
    """Most applications have none."""
    local = Local(hears=False)
    local.fail("failing", caller())
    assert (local.names, local.started) == (["failing"], [])


def test_tracestate_of_others_is_passed_on(local):
    """Members of other vendors stay, before and after the decision."""
    state = TraceState([("vendor", "1")])
    context = caller()
    (remote,) = context.values()
    remote._context = type(remote._context)(*remote._context[:4], state)
    root = local.start("root", context)
    assert root.get_span_context().trace_state == state
    local.fail("failing", root)
    assert root.get_span_context().trace_state.to_header() == "ot=th:0,vendor=1"


def test_what_a_span_dropped_is_still_told(local):
    """The root's attributes are added to; the count of those over the limit stays."""
    root = local.start("root", caller(sampled=True), attributes={str(n): n for n in range(130)})
    root.end()
    assert local.named("root").dropped_attributes == 2


def test_a_failure_of_our_own_reaches_nobody(local, caplog):
    """The span is not made, or is lost; the application does not hear of it."""
    root = local.start("root", caller())
    root.local_trace.buffer.child_ended = None
    local.start("child", root).end()
    local.tail_sampler.begin = None
    assert not local.start("other", caller()).is_recording()
    assert [record.message.split(";")[0] for record in caplog.records] == [
        "eco2-tracing failed at ending a span",
        "eco2-tracing failed at deciding about a span",
    ]


def test_the_description_is_the_given_one(local):
    """What the SDK prints of its sampler."""
    assert local.sampler.get_description() == "a test's"
