"""Counts stay right: the sum of 1/probability over exported local traces estimates the number of all."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import pytest
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import StatusCode, TraceState

from eco2_tracing.sampling import BuiltSampler, CustomSampler, randomness_value
from eco2_tracing.sampling._tail.limits import TailLimits
from tests.tail_sampling.conftest import HALF, Local, caller

REASON, PROBABILITY = "eco2.sampling.reason", "eco2.sampling.probability"
REQUESTS = 5_000
SIGMAS = 4.0


class SeededIds(RandomIdGenerator):
    """The same trace ids in every run."""

    def __init__(self, seed):
        self._source = random.Random(seed)

    def generate_trace_id(self):
        return self._source.getrandbits(128) or 1


@dataclass
class Case:
    """One mixture: head and error rates, the share that fails, the share that is slow."""

    head: str
    error_rate: float
    failing: float
    slow: float = 0.0
    sampler: str = "parentbased_traceidratio"


CASES = [
    Case("0.01", 1.0, 0.03),
    Case("0.01", 1.0, 0.03, 0.05),
    Case("0.1", 0.3, 0.2),
    Case("0.3", 0.1, 0.2),
    Case("0.1", 0.3, 0.2, 0.1),
    Case("0.05", 0.02, 0.5, 0.02),
    Case("1", 0.5, 0.1, sampler="traceidratio"),
    Case("0", 0.25, 0.4),
]


def offered(case, local):
    """Run the requests; give how many there were, how many failed and how many were slow."""
    chance = random.Random(7)
    local.tracer.factory.id_generator = SeededIds(8)
    failed = slow = 0
    for _ in range(REQUESTS):
        is_slow, fails = chance.random() < case.slow, chance.random() < case.failing
        root = local.start("root", start_time=1 if is_slow else None)
        child = local.start("child", root)
        if fails:
            child.set_status(StatusCode.ERROR)
            root.set_status(StatusCode.ERROR)
        child.end()
        root.end()
        failed += fails
        slow += is_slow
    return failed, slow


def told(span):
    """The probability that a collector reads."""
    members = dict(part.split(":") for part in span.context.trace_state.get("ot").split(";"))
    if members["th"] != "0":
        threshold = members["th"].ljust(14, "0")
        assert members["rv"] >= threshold
        assert members["rv"] == randomness_value(span.context.trace_id)
        return 1 - int(threshold, 16) / 2**56
    return 1.0


def check(spans, true):
    """Hold a Horvitz-Thompson estimate against the truth."""
    weights = [1 / span.attributes[PROBABILITY] for span in spans]
    estimate = sum(weights)
    sigma = math.sqrt(sum(weight * (weight - 1) for weight in weights))
    assert abs(estimate - true) <= SIGMAS * sigma + 1e-6, (estimate, true, sigma)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_requests_and_errors_are_recovered(case):
    """Both counts lie within the estimate's confidence interval, over each mixture."""
    local = Local(
        case.sampler,
        case.head,
        TailLimits(kept_per_second=1_000_000),
        error_rate=case.error_rate,
        slow_ms=1_000 if case.slow else None,
    )
    failed, slow = offered(case, local)
    roots = [span for span in local.exported if span.name == "root"]
    failing = [span for span in roots if span.status.status_code is StatusCode.ERROR]
    check(failing, failed)
    check([span for span in roots if span.start_time == 1], slow)
    if float(case.head):
        check(roots, REQUESTS)
    for span in roots:
        assert told(span) == pytest.approx(span.attributes[PROBABILITY], rel=1 / 2000)


def test_each_stratum_has_one_probability():
    """Whether the head chose a failing trace or its failure did makes no difference."""
    local = Local(arg="0.25", error_rate=0.5)
    for trace_id, fails in ((1, True), (HALF - 1, True), (1, False), (HALF - 1, False), (HALF, True)):
        # deferred: the service's own sampler decides about a trace id of the test's
        local.said = local.said._replace(deferred=True)
        root = local.start(f"{trace_id} {fails}", caller(trace_id=trace_id))
        if fails:
            local.fail("failing", root)
        root.end()
    roots = {span.name: dict(span.attributes) for span in local.exported if span.name != "failing"}
    assert roots == {
        "1 True": {REASON: "error", PROBABILITY: 0.5},
        f"{HALF - 1} True": {REASON: "error", PROBABILITY: 0.5},
        "1 False": {REASON: "head", PROBABILITY: 0.25},
    }
    assert {told(span) for span in local.exported if span.name in ("failing", "1 True")} == {0.5}


def test_a_failing_trace_that_the_gateway_chose():
    """All failing ones are kept, so its probability is 1, whatever the gateway's rate."""
    local = Local()
    root = local.start("root", caller(sampled=True))
    local.fail("failing", root)
    root.end()
    assert local.named("root").attributes == {REASON: "error", PROBABILITY: 1.0}
    assert [told(span) for span in local.exported] == [1.0, 1.0]


def test_a_share_of_failing_traces_behind_a_gateway():
    """The gateway's choice and ours cannot be separated: the probability is unknown."""
    local = Local(error_rate=0.5)
    for sampled in (False, True):
        root = local.start("root", caller(sampled=sampled))
        local.fail("failing", root)
        root.end()
    attributes = [dict(span.attributes) for span in local.exported if span.name == "root"]
    assert attributes == [{REASON: "error"}, {REASON: "error"}]
    assert {span.context.trace_state.get("ot") for span in local.exported} == {None}


def test_what_a_callee_kept():
    """Its caps and rates are its own: the caller claims no probability, until it fails, too."""
    local = Local()
    for fails in (False, True):
        root = local.start(f"root {fails}", caller())
        assert root.local_trace.keep("upstream")
        assert root.local_trace.keep("upstream")
        if fails:
            local.fail("failing", root)
        root.end()
    assert local.named("root False").attributes == {REASON: "upstream"}
    assert local.named("root True").attributes == {REASON: "error", PROBABILITY: 1.0}
    assert local.tail_sampler.buffer.kept == {"upstream": 1, "error": 1}


def test_what_a_callee_kept_of_a_trace_outside_our_share():
    """It fails, but not for this is it kept: its probability stays unknown."""
    local = Local(error_rate=0.5, slow_ms=1e9)
    root = local.start("root", caller(trace_id=HALF))
    root.local_trace.keep("upstream")
    local.fail("failing", root)
    root.end()
    assert local.named("root").attributes == {REASON: "upstream"}


@pytest.mark.parametrize("reason", ["error", "upstream"])
def test_slow_ones_are_all_kept(reason):
    """Slow and failing: in the end its probability is the higher one, that of the slow."""
    local = Local(error_rate=0.5, slow_ms=1_000)
    root = local.start("root", start_time=1)
    root.local_trace.trace_id = 1
    root.local_trace.keep(reason)
    root.end()
    expected = "error" if reason == "error" else "slow"
    assert local.named("root").attributes == {REASON: expected, PROBABILITY: 1.0}
    assert told(local.named("root")) == 1.0


def test_jaegers_tags_stand_on_true_roots_that_its_sampler_chose():
    """Jaeger's adaptive sampling counts them: kept traces and callees' roots would mislead it."""
    local = Local(arg="1")
    local.start("true root").end()
    local.said = local.said._replace(deferred=True)
    local.start("deferred", caller()).end()
    kept = Local()
    kept.fail("kept", None)
    tags = {"sampler.type": "probabilistic", "sampler.param": 1.0}
    assert tags.items() <= local.named("true root").attributes.items()
    assert not tags.keys() & local.named("deferred").attributes.keys()
    assert not tags.keys() & kept.named("kept").attributes.keys()


def installed(decision, **attributes):
    """A sampler of another package; it records its calls."""
    asked = []

    class Installed(Sampler):
        def should_sample(
            self, parent_context, trace_id, name, kind=None, attributes_=None, links=None, trace_state=None
        ):
            asked.append((name, dict(attributes_ or {})))
            return SamplingResult(
                decision, {**(attributes_ or {}), **attributes}, TraceState([("theirs", "1")])
            )

        def get_description(self):
            return "theirs"

    root = CustomSampler(Installed())
    return BuiltSampler(root, parent_based=False, name="theirs", description="theirs"), asked


@pytest.mark.parametrize("decision", [Decision.RECORD_AND_SAMPLE, Decision.DROP])
def test_an_installed_sampler(decision):
    """It is called as the SDK calls it; its tracestate and attributes are used, a failure is kept."""
    built, asked = installed(decision, extra=1)
    local = Local(built=built)
    root = local.start("root", attributes={"peer": "b"})
    local.start("child", root).end()
    root.end()
    local.fail("failing", None)
    assert asked == [("root", {"peer": "b"}), ("failing", {})]
    chosen = decision is Decision.RECORD_AND_SAMPLE
    assert local.names == (["child", "failing", "root"] if chosen else ["failing"])
    assert local.named("failing").attributes == {REASON: "error", PROBABILITY: 1.0} | (
        {"extra": 1} if chosen else {}
    )
    assert local.named("failing").context.trace_state.get("theirs") == "1"
    if chosen:
        assert local.named("root").attributes == {"peer": "b", "extra": 1, REASON: "head"}


def test_an_installed_sampler_and_no_keeping():
    """What it does not choose is not recorded where nothing could keep it."""
    built, _ = installed(Decision.DROP)
    assert not Local(built=built, error_rate=0.0).start("root").is_recording()


def test_an_installed_sampler_has_no_probability():
    """So a share of the failing traces has none either."""
    built, _ = installed(Decision.DROP)
    local = Local(built=built, error_rate=0.5)
    local.tracer.factory.new_trace_id = lambda: 1
    local.fail("failing", None)
    assert local.named("failing").attributes == {REASON: "error"}
