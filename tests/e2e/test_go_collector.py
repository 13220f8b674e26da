"""OpenTelemetry's own collector: authentication, rejection, tail sampling, span metrics."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from pathlib import Path

import pytest
from opentelemetry.trace import StatusCode, get_tracer, set_span_in_context
from tests.e2e.collector import GoCollector
from tests.support.jaeger import wait_for, wait_for_trace
from tests.support.mesh import LOGIN, TRACE_HEADER, running_mesh
from tests.support.proxies import PROVIDERS, Backend
from tests.support.servers import free_port

from eco2_tracing import (
    TracingSettings,
    configure_tracing,
    flush_tracing,
    span,
    tracing_status,
)
from eco2_tracing.testing import OtlpReceiver

SAMPLING_MD = Path(__file__).parents[2] / "docs" / "sampling.md"
AUTHENTICATORS = {
    "bearertokenauth": ({"token": "0123456789"}, "Bearer%200123456789", "Bearer%20wrong-secret"),
    "basicauth": (
        {"htpasswd": {"inline": "auth-api:0123456789"}},
        "Basic%20YXV0aC1hcGk6MDEyMzQ1Njc4OQ==",
        "Basic%20YXV0aC1hcGk6d3Jvbmctc2VjcmV0",
    ),
}


def configure(endpoint, **variables):
    """Trace this process to an endpoint."""
    given = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "20", **variables}
    assert configure_tracing(service_name="auth-api", settings=TracingSettings(**given))


def dropped():
    """The reasons for which spans were dropped."""
    return {reason: count for reason, count in tracing_status().spans_dropped.items() if count}


@pytest.fixture
def receiver():
    """The receiver behind the collector."""
    with OtlpReceiver() as running:
        yield running


@pytest.fixture(params=list(AUTHENTICATORS))
def authenticated(request, receiver):
    """A collector that requires a header; with an accepted value and a wrong one."""
    options, known, unknown = AUTHENTICATORS[request.param]
    asked = {"auth": {"authenticator": request.param}}
    more = {
        "extensions": {request.param: options},
        "receivers": {"otlp": {"protocols": {"grpc": asked, "http": asked}}},
        "service": {"extensions": [request.param]},
    }
    with GoCollector(receiver.grpc_endpoint, more, needs=[request.param]) as running:
        yield running, known, unknown


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_authorization_header(authenticated, receiver, protocol):
    """With the right header of the environment spans are accepted."""
    collector, known, _ = authenticated
    endpoint = collector.grpc if protocol == "grpc" else collector.http
    headers = f"authorization={known}"
    configure(endpoint, OTEL_EXPORTER_OTLP_PROTOCOL=protocol, OTEL_EXPORTER_OTLP_HEADERS=headers)
    with span("known"):
        pass
    assert flush_tracing()
    receiver.wait_for(1)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_wrong_authorization_header(authenticated, receiver, protocol):
    """With a wrong header, or none, spans are dropped and counted at once, and no secret is logged."""
    collector, _, unknown = authenticated
    endpoint = collector.grpc if protocol == "grpc" else collector.http
    headers = f"authorization={unknown}"
    configure(endpoint, OTEL_EXPORTER_OTLP_PROTOCOL=protocol, OTEL_EXPORTER_OTLP_HEADERS=headers)
    with span("unknown"):
        pass
    assert not flush_tracing()
    assert dropped() == {"unauthenticated": 1}
    told = str(tracing_status())
    assert "wrong-secret" not in told
    assert unknown.removeprefix("Basic%20") not in told
    assert receiver.find("unknown") == ()


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_unavailable_backend_of_the_collector(protocol):
    """A collector without a queue rejects spans; they wait and are exported later."""
    port = free_port()
    at_once = {"sending_queue": {"enabled": False}, "retry_on_failure": {"enabled": False}}
    more = {"exporters": {"otlp_grpc": at_once}}
    with GoCollector(f"http://127.0.0.1:{port}", more) as collector:
        endpoint = collector.grpc if protocol == "grpc" else collector.http
        configure(endpoint, OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
        for _ in range(10):
            with span("kept"):
                pass
        wait_for(lambda: tracing_status().last_export_error)
        assert tracing_status().spans_queued == 10
        with OtlpReceiver(grpc_port=port) as receiver:
            assert flush_tracing(20)
            receiver.wait_for(10)
    assert (tracing_status().spans_sent, dropped()) == (10, {})


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_requests_are_split_at_the_size_limit(receiver, compression):
    """A batch above 4 MiB, the limit of Go's gRPC, is exported in several requests."""
    with GoCollector(receiver.grpc_endpoint) as collector:
        configure(collector.grpc, OTEL_EXPORTER_OTLP_COMPRESSION=compression, OTEL_BSP_SCHEDULE_DELAY="60000")
        for number in range(300):
            with span("large", attributes={"text": f"{number}" * 10_000}):
                pass
        assert flush_tracing(20)
        receiver.wait_for(300)
    assert dropped() == {}


def second_tier(folder):
    """The second tier's configuration in the docs, as a file."""
    (text,) = [
        block
        for block in re.findall(r"```yaml\n(.*?)```", SAMPLING_MD.read_text(), re.DOTALL)
        if "tail_sampling" in block
    ]
    path = folder / "second-tier.yaml"
    path.write_text(text)
    return path


def request(name, *, fails=False, seconds=0.1):
    """A trace of two spans of a given status and duration; returns its id."""
    begun = time.time_ns()
    root = get_tracer("app").start_span(name, start_time=begun)
    child = get_tracer("app").start_span("callee", set_span_in_context(root), start_time=begun)
    if fails:
        child.set_status(StatusCode.ERROR)
    for one in (child, root):
        one.end(begun + int(seconds * 1e9))
    return f"{root.get_span_context().trace_id:032x}"


def test_tail_sampling_of_the_docs(receiver, tmp_path):
    """Each failed and each slow trace is kept whole, and few others."""
    sooner = {"processors": {"tail_sampling": {"decision_wait": "1s"}}}
    below, needs = second_tier(tmp_path), ["tail_sampling"]
    with GoCollector(receiver.grpc_endpoint, sooner, below, needs) as collector:
        configure(collector.grpc)
        failing = {request("failing", fails=True) for _ in range(30)}
        slow = {request("slow", seconds=2.5) for _ in range(30)}
        ordinary = {request("ordinary") for _ in range(500)}
        last = request("failing", fails=True)
        assert flush_tracing(20)
        receiver.wait_for(
            lambda held: {last, *failing, *slow} <= {one.trace_id for one in held if one.name == "callee"}
        )
    kept = {trace.trace_id for trace in receiver.traces()}
    assert {len(trace.spans) for trace in receiver.traces()} == {2}
    assert kept >= {last, *failing, *slow}
    # At one in a hundred, the probability that 25 of 500 are kept is below 10**-9.
    assert len(kept & ordinary) < 25


def test_tail_sampling_of_a_mesh(receiver, tmp_path):
    """A failed trace has the spans of every proxy and service, by every protocol."""
    zipkin = f"127.0.0.1:{free_port()}"
    more = {
        "receivers": {"zipkin": {"endpoint": zipkin}},
        "processors": {"tail_sampling": {"decision_wait": "2s"}},
        "service": {"pipelines": {"traces": {"receivers": ["otlp", "zipkin"]}}},
    }
    below, needs = second_tier(tmp_path), ["tail_sampling", "zipkin"]
    with GoCollector(receiver.grpc_endpoint, more, below, needs) as collector:
        backend = Backend(f"http://{zipkin}", collector.grpc, receiver)
        with running_mesh(PROVIDERS["Zipkin"], backend) as mesh:
            fine = [mesh.log_in() for _ in range(30)]
            failed = mesh.send("GET", "/through/broken/x").headers[TRACE_HEADER]
            tree = mesh.tree(LOGIN)
        trace = wait_for_trace(receiver, failed, len(tree))
    assert [(depth, one.service) for depth, one in trace.walk()] == tree, str(trace)
    assert trace.is_one_tree
    kept = [len(receiver.trace(trace_id).spans) for trace_id in fine]
    assert set(kept) <= {0, len(tree)}
    assert kept.count(0) >= 24  # at one in a hundred, the probability of seven is below 10**-7


COUNTING = {
    "connectors": {"span_metrics": {"metrics_flush_interval": "200ms", "histogram": {"disable": True}}},
    "exporters": {"debug": {"verbosity": "detailed"}},
    "service": {
        "pipelines": {
            "traces": {"receivers": ["otlp"], "exporters": ["otlp_grpc", "span_metrics"]},
            "metrics": {"receivers": ["span_metrics"], "exporters": ["debug"]},
        }
    },
}


def test_span_metrics_extrapolate(receiver):
    """They use the exported sampling probability; failures are not counted more than once."""
    with GoCollector(receiver.grpc_endpoint, COUNTING, needs=["span_metrics"]) as collector:
        configure(
            collector.grpc,
            OTEL_TRACES_SAMPLER="parentbased_traceidratio",
            OTEL_TRACES_SAMPLER_ARG="0.1",
        )
        for number in range(1020):
            with suppress(LookupError), span("failing" if number % 51 == 0 else "ordinary"):
                if number % 51 == 0:
                    raise LookupError(number)
        assert flush_tracing(20)

        def counted(name):
            said = "\n".join(collector.lines)
            return [int(n) for n in re.findall(rf"span\.name: Str\({name}\)(?s:.*?)\bValue: (\d+)", said)]

        sent = tracing_status().spans_sent
        receiver.wait_for(sent)
        ordinary = sum(one.name == "ordinary" for one in receiver.spans)
        wait_for(lambda: counted("failing")[-1:] == [20])
        # The probability has five digits, and the collector rounds randomly.
        wait_for(lambda: abs((counted("ordinary") or [0])[-1] - 10 * ordinary) <= 2)
    assert 50 < ordinary < 160
    assert sent == ordinary + 20
