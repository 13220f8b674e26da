"""Against a real Jaeger: strategies over both protocols, changed while running."""

from __future__ import annotations

import pytest

from eco2_tracing.sampling import build_sampler
from tests.support.jaeger import wait_for

BEFORE = {"service_strategies": [{"service": "shop", "type": "probabilistic", "param": 0.25}]}
RATE = {"service_strategies": [{"service": "shop", "type": "ratelimiting", "param": 5}]}
OPERATIONS = {
    "service_strategies": [
        {
            "service": "shop",
            "type": "probabilistic",
            "param": 0.5,
            "operation_strategies": [
                {"operation": "GET /pay", "type": "probabilistic", "param": 1.0},
                {"operation": "GET /health", "type": "probabilistic", "param": 0.0},
            ],
        }
    ]
}


@pytest.mark.parametrize("protocol", ["http", "http without a path", "grpc"])
def test_a_real_servers_strategies_are_followed(jaeger, protocol):
    """A ratio, then a rate, then operations, without a restart."""
    endpoint = {
        "http": jaeger.sampling,
        "http without a path": jaeger.sampling.removesuffix("/sampling"),
        "grpc": jaeger.sampling_grpc,
    }[protocol]
    built = build_sampler(
        "parentbased_jaeger_remote",
        f"endpoint={endpoint},pollingIntervalMs=50,initialSamplingRate=0.125",
        service_name="shop",
    )
    sampler = built.root
    assert built.problems == ()
    assert sampler.probability("GET /pay") == 0.125
    try:
        jaeger.set_strategies(BEFORE)
        sampler.decide(1, "GET /pay")
        wait_for(lambda: sampler.jaeger_tags("GET /pay") == ("probabilistic", 0.25))
        jaeger.set_strategies(RATE)
        wait_for(lambda: sampler.jaeger_tags("GET /pay") == ("ratelimiting", 5.0))
        jaeger.set_strategies(OPERATIONS)
        wait_for(lambda: sampler.jaeger_tags("GET /pay") == ("probabilistic", 1.0))
        assert sampler.probability("GET /health") == 0.0
        assert sampler.probability("GET /else") == 0.5
    finally:
        built.close()
