"""The model of estimate.py: simulated requests, spans a second, collectors, storage and cost."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil, exp

DAY_S = 86_400
HOURS = 730  # of a month
GIB = 2**30


def option(default: float, text: str) -> float:
    """An input: its default, its unit and source."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Inputs:
    """The options. docs/scale.md has how and when the measured defaults were measured."""

    services: float = option(300, "services in the cluster")
    pods: float = option(4, "pods of a service, each with one process")
    rps: float = option(50_000, "requests a second at the gateways")
    services_per_request: float = option(6, "mean number of services that a request passes")
    inner_spans: float = option(
        3, "mean number of database, cache and manual spans a service makes for a request"
    )
    failing: float = option(0.002, "share of the requests in which a service fails")
    slow: float = option(0.005, "share of the requests that the collector keeps as slow")
    head_rate: float = option(0.01, "sampling at the gateway: randomSamplingPercentage / 100")
    tail_rate: float = option(0.01, "sampling at the collector, of what neither failed nor was slow")
    decision_wait: float = option(10, "seconds that the collector holds a trace: decision_wait")
    kept_cap: float = option(200, "ECO2_TRACING_MAX_KEPT_TRACES_PER_SECOND, per process")
    service_span_bytes: float = option(360, "bytes of a service's span as OTLP; measured")
    proxy_span_bytes: float = option(1000, "bytes of a proxy's span as Zipkin JSON or OTLP; measured")
    span_cpu: float = option(22, "microseconds of CPU that a service spends on an exported span; measured")
    otlp_cpu: float = option(10, "microseconds of a collector on a service's span; measured")
    proxy_otlp_cpu: float = option(
        15, "microseconds of a collector on a proxy's span that comes as OTLP; measured"
    )
    zipkin_cpu: float = option(
        37, "microseconds of a collector on a span that comes as Zipkin JSON; measured"
    )
    deciding_cpu: float = option(5, "microseconds of a collector with tail sampling on a span; measured")
    writing_cpu: float = option(
        27, "microseconds of Jaeger on a span that it writes to Elasticsearch; measured"
    )
    indexing_cpu: float = option(
        170, "microseconds of Elasticsearch on a span, one copy; measured on OpenSearch"
    )
    held_bytes: float = option(1_250, "bytes of memory for a span that a collector holds; measured")
    num_traces: float = option(100_000, "traces that a tail-sampling collector holds at most: num_traces")
    stored_bytes: float = option(400, "bytes of a span on disk, one copy; measured on OpenSearch")
    copies: float = option(2, "copies of each span in storage: one replica")
    utilisation: float = option(0.5, "share of cores and memory that is planned to be used")
    cores: float = option(2, "cores of a collector's pod")
    pod_gib: float = option(2, "GiB of memory of a collector's pod")
    vcpu_price: float = option(0.04, "price of a vCPU for an hour; an assumption")
    memory_price: float = option(0.005, "price of a GiB of memory for an hour; an assumption")
    disk_price: float = option(0.10, "price of a GiB of disk for a month; an assumption")
    requests: float = option(20_000, "requests to simulate")
    seed: float = option(1, "seed of the simulation")


@dataclass
class Request:
    """The spans of one simulated request.

    Attributes:
        services: Spans of services.
        proxies: Spans of gateway and sidecars.
        kept: If one of its services fails, the spans of that one and of its callers, up to the first.
        kept_traces: The number of these services: each keeps its own part.
    """

    services: int = 0
    proxies: int = 2  # the gateway's, and that of its attempt
    kept: int = 0
    kept_traces: int = 0


def poisson(mean: float, source: random.Random) -> int:
    """A random number of independent events."""
    limit, count, product = exp(-mean), 0, source.random()
    while product > limit:
        count += 1
        product *= source.random()
    return count


def simulate_one(inputs: Inputs, source: random.Random) -> Request:
    """One request: each service that it passes is called by a random one of those before it."""
    count = 1 + poisson(inputs.services_per_request - 1, source)
    caller = [source.randrange(place) if place else None for place in range(count)]
    spans = [1 + caller.count(place) + poisson(inputs.inner_spans, source) for place in range(count)]
    # The sidecars: one inbound span for each service, one outbound span for each call.
    made = Request(services=sum(spans), proxies=2 + count + count - 1)
    # A service that fails tells its caller, which keeps its part of the trace too.
    place: int | None = source.randrange(count)
    while place is not None:
        made.kept += spans[place]
        made.kept_traces += 1
        place = caller[place]
    return made


def simulate(inputs: Inputs) -> list[Request]:
    """Requests through random call trees."""
    source = random.Random(inputs.seed)
    return [simulate_one(inputs, source) for _ in range(int(inputs.requests))]


@dataclass(frozen=True)
class Flow:
    """Spans a second of one way of sampling.

    Attributes:
        services: Exported by services.
        proxies: Exported by proxies.
        stored: Written to storage.
        stored_errors: Of these, spans of requests that failed.
    """

    services: float
    proxies: float
    stored: float
    stored_errors: float

    @property
    def exported(self) -> float:
        """Exported by both."""
        return self.services + self.proxies


def flows(inputs: Inputs, requests: list[Request]) -> dict[str, Flow]:
    """Spans a second by the way of sampling."""
    scale = inputs.rps / len(requests)

    def rate(count: Callable[[Request], float]) -> float:
        return scale * sum(map(count, requests))

    services, proxies = rate(lambda one: one.services), rate(lambda one: one.proxies)
    failed = (services + proxies) * inputs.failing
    # At the gateway: a whole trace if it is sampled, else the parts that failed, which have no proxies' spans.
    head = inputs.head_rate
    kept = rate(lambda one: one.kept) * inputs.failing * (1 - head)
    gateway = Flow(
        services * head + kept, proxies * head, (services + proxies) * head + kept, failed * head + kept
    )
    rest = (services + proxies - failed) * (inputs.slow + (1 - inputs.slow) * inputs.tail_rate)
    return {"gateway": gateway, "collector": Flow(services, proxies, failed + rest, failed)}


@dataclass(frozen=True)
class Plan:
    """What one way of sampling needs.

    Attributes:
        cores: Cores of all services for their exported spans.
        traffic: Bytes a second out of services and proxies.
        agents: Cores of the collectors on the nodes, which send all spans of a trace to one pod.
        deciding: Pods of the collector that decides.
        writing: Pods of the collector that writes to storage.
        indexing: Cores of the storage for what is written.
        week: Bytes of storage for everything for 7 days.
        month: The same for 30 days.
        kit: The same for everything for 7 days, and failed requests in an index of their own for 30.
        cost: A month of collectors and of the storage, in the unit of the prices.
    """

    cores: float
    traffic: float
    agents: float
    deciding: int
    writing: int
    indexing: float
    week: float
    month: float
    kit: float
    cost: float


def deciding_pods(inputs: Inputs, flow: Flow) -> int:
    """The pods that tail sampling needs for its CPU, its memory and its number of traces."""
    cpu = flow.exported * inputs.deciding_cpu / 1e6 / inputs.cores / inputs.utilisation
    held = flow.exported * inputs.decision_wait * inputs.held_bytes
    memory = held / GIB / inputs.pod_gib / inputs.utilisation
    return max(2, ceil(max(cpu, memory, inputs.rps * inputs.decision_wait / inputs.num_traces)))


def plan(inputs: Inputs, flow: Flow, *, decides: bool) -> Plan:
    """Collectors, storage and cost.

    Args:
        inputs: The options.
        flow: Spans a second.
        decides: Whether collectors hold traces to decide about them.
    """
    # The production overlay has Istio's Zipkin provider, the one with a deciding collector that of OpenTelemetry.
    of_proxy = inputs.proxy_otlp_cpu if decides else inputs.zipkin_cpu
    arriving = (flow.services * inputs.otlp_cpu + flow.proxies * of_proxy) / 1e6 / inputs.utilisation
    agents, deciding = (arriving, deciding_pods(inputs, flow)) if decides else (0.0, 0)
    # Without agents all spans arrive at the collector that writes.
    writing = flow.stored * inputs.writing_cpu / 1e6 / inputs.utilisation + (0 if decides else arriving)
    pods = deciding + (writers := max(2, ceil(writing / inputs.cores)))
    indexing = flow.stored * inputs.indexing_cpu * inputs.copies / 1e6 / inputs.utilisation
    a_day = DAY_S * inputs.stored_bytes * inputs.copies
    kit = a_day * (7 * flow.stored + 30 * flow.stored_errors)
    cores = agents + pods * inputs.cores + indexing
    hourly = cores * inputs.vcpu_price + pods * inputs.pod_gib * inputs.memory_price
    return Plan(
        cores=flow.services * inputs.span_cpu / 1e6,
        traffic=flow.services * inputs.service_span_bytes + flow.proxies * inputs.proxy_span_bytes,
        agents=agents,
        deciding=deciding,
        writing=writers,
        indexing=indexing,
        week=7 * a_day * flow.stored,
        month=30 * a_day * flow.stored,
        kit=kit,
        cost=hourly * HOURS + kit / GIB * inputs.disk_price,
    )
