"""A Jaeger server's answers, as samplers."""

from __future__ import annotations

import pytest

from eco2_tracing.sampling import AlwaysOff, RateLimiting, TraceIdRatio
from eco2_tracing.sampling._remote.sampler import MAX_OPERATIONS, parse_strategy, rate_limiter

LAST_ID = (1 << 64) - 1


@pytest.fixture
def parse(clock):
    return lambda answer: parse_strategy(answer, rate_limiter(1, clock))


def per_operation(lower_bound=0.0, **ratios):
    """An answer with strategies for operations, a tenth for all others."""
    listed = [{"operation": o, "probabilisticSampling": {"samplingRate": r}} for o, r in ratios.items()]
    return {
        "strategyType": "PROBABILISTIC",
        "probabilisticSampling": {"samplingRate": 1},
        "operationSampling": {
            "defaultSamplingProbability": 0.1,
            "defaultLowerBoundTracesPerSecond": lower_bound,
            "perOperationStrategies": listed,
        },
    }


def test_probabilistic(parse):
    """The server's ratio is used; a zero that JSON left out is a zero."""
    sampler = parse({"strategyType": "PROBABILISTIC", "probabilisticSampling": {"samplingRate": 0.01}})
    assert isinstance(sampler, TraceIdRatio)
    assert sampler.probability("GET") == 0.01
    assert parse({"probabilisticSampling": {}}).probability("GET") == 0.0


def test_rate_limiting(parse, clock):
    """The server's number is shared by the workers; none a second is none at all."""
    sampler = parse({"strategyType": "RATE_LIMITING", "rateLimitingSampling": {"maxTracesPerSecond": 42}})
    assert isinstance(sampler, RateLimiting)
    assert sampler.jaeger_tags() == ("ratelimiting", 42.0)
    assert isinstance(parse({"rateLimitingSampling": {}}), AlwaysOff)
    assert "here 7/s" in rate_limiter(6, clock)(42).get_description()


def test_operations_win_over_the_services_own_strategy(parse):
    """Each listed span name has its ratio, the others share the default one."""
    sampler = parse(per_operation(GET=0.5, POST=0))
    assert sampler.probability("GET") == 0.5
    assert sampler.probability("POST") == 0.0
    assert sampler.probability("PUT") == 0.1
    assert sampler.sample(0, "GET") == 0.5
    assert sampler.sample(0, "POST") == 0.0
    assert sampler.sample(0, "PUT") == 0.1
    assert sampler.sample(LAST_ID, "GET") == 0.0
    assert sampler.jaeger_tags("GET") == ("probabilistic", 0.5)
    assert sampler.get_description() == "PerOperation{2 operations, others TraceIdRatioBased{0.1}}"


def test_the_lower_bound_keeps_something_of_every_operation(parse, clock, ids):
    """A ratio of zero keeps about the lower bound, each operation its own; a high ratio is untouched."""
    sampler = parse(per_operation(5, GET=0.0, PUT=1.0))
    kept = dict.fromkeys(["GET", "PATCH", "PUT"], 0)
    for _ in range(3000):
        clock.now += 0.01
        for name in kept:
            p = sampler.sample(ids(), name)
            kept[name] += p > 0
            assert name != "PUT" or p == 1.0
    assert kept["GET"] == pytest.approx(5 * 30, rel=0.15)
    assert kept["PATCH"] == pytest.approx(10 * 30, rel=0.2)  # a tenth of 100 a second
    assert kept["PUT"] == 3000
    assert sampler.jaeger_tags("GET") == ("lowerbound", 0.0)
    assert sampler.jaeger_tags("PUT") == ("probabilistic", 1.0)
    assert 0 < sampler.probability("GET") < 0.2


def test_the_higher_probability_is_the_one_told(parse):
    """A quiet operation is kept by the lower bound, with its probability and not the ratio's."""
    sampler = parse(per_operation(5, GET=0.25))
    assert sampler.sample(0, "GET") == 1.0
    assert sampler.probability("GET") == 1.0


def test_operations_are_told_apart_up_to_a_bound(parse):
    """Span names without end cost no memory without end."""
    sampler = parse(per_operation(5))
    for number in range(MAX_OPERATIONS + 10):
        sampler.decide(LAST_ID, f"GET /{number}")
    assert len(sampler._limiters) == MAX_OPERATIONS


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "PROBABILISTIC",
        {},
        {"strategyType": "PROBABILISTIC"},
        {"probabilisticSampling": 0.5},
        {"probabilisticSampling": {"samplingRate": 1.5}},
        {"probabilisticSampling": {"samplingRate": "0.5"}},
        {"probabilisticSampling": {"samplingRate": True}},
        {"probabilisticSampling": {"samplingRate": float("nan")}},
        {"rateLimitingSampling": {"maxTracesPerSecond": -1}},
        {"rateLimitingSampling": {"maxTracesPerSecond": float("inf")}},
        {"operationSampling": []},
        {"operationSampling": {"perOperationStrategies": {}}},
        {"operationSampling": {"perOperationStrategies": ["GET"]}},
        {"operationSampling": {"perOperationStrategies": [{"operation": "GET"}]}},
        {"operationSampling": {"defaultSamplingProbability": 2}},
    ],
)
def test_an_answer_that_is_no_strategy(parse, answer):
    """It is refused with a reason, whatever it is."""
    with pytest.raises(ValueError, match=r"."):
        parse(answer)


def test_an_operation_without_a_name_is_passed_over(parse):
    """The other operations are used."""
    answer = per_operation(GET=0.5)
    answer["operationSampling"]["perOperationStrategies"].append({"probabilisticSampling": {}})
    assert parse(answer).probability("GET") == 0.5
