"""A callee's word reaches its caller, and the caller's caller, through a real Envoy."""

from __future__ import annotations

import httpx
import pytest

from eco2_tracing._cli.services import url_of
from eco2_tracing.testing import TRACE_ID, OtlpReceiver, b3_headers
from tests.support.envoy import start_gateway
from tests.support.proxies import PROVIDERS

REASON = "eco2.sampling.reason"


@pytest.mark.parametrize("case", ["callee handles", "callee fails"])
def test_a_failure_that_everybody_handled(benchmarks, case):
    """Both services answer as if nothing was; both export their whole part all the same."""
    import kept_errors

    with OtlpReceiver() as receiver:
        with (
            kept_errors.start("stock", receiver) as stock,
            start_gateway(receiver, url_of(stock), PROVIDERS["Zipkin"], sampling=0) as gateway,
            kept_errors.start("orders", receiver, STOCK_URL=gateway.url) as orders,
        ):
            url, headers = f"{url_of(orders)}/orders/1", b3_headers(sampled=False)
            fine = httpx.get(url, headers=headers, trust_env=False, timeout=30)
            answer = httpx.get(url, params={"case": case}, headers=headers, trust_env=False, timeout=30)
        assert "server-timing" not in fine.headers
        assert answer.status_code == 200
        by_service = {name: receiver.find(service=name) for name in ("orders", "stock")}
    assert {span.name for span in by_service["orders"]} == kept_errors.OF_ORDERS
    assert {span.name for span in by_service["stock"]} == kept_errors.OF_STOCK
    (root,) = [span for span in by_service["orders"] if span.name == kept_errors.ORDERS]
    assert root.attributes[REASON] == ("upstream" if case == "callee handles" else "error")
    assert answer.headers["server-timing"] == f"trace;desc=00-{TRACE_ID}-{root.span_id}-01"
    assert len(receiver.spans) == 6  # the proxy keeps nothing that it did not sample
