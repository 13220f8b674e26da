"""What tracing a cluster exports, stores and costs, from measured sizes and rates: python estimate.py --help

The standard library is enough. A simulation of requests through random call trees gives the number of spans; the rest
is arithmetic. Each input is an option, so put your own numbers in the place of the defaults.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from math import ceil, exp

DAY_S = 86_400
GIB = 2**30


def option(default: float, text: str) -> float:
    """An input: its default, its unit and source."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Inputs:
    """The options. Defaults that are measured say so; README.md of this folder has how and when."""

    services: float = option(300, "services in the cluster")
    pods: float = option(4, "pods of a service, each with one process")
    rps: float = option(50_000, "requests a second at the gateways")
    services_per_request: float = option(6, "mean number of services that a request passes")
    inner_spans: float = option(3, "mean number of database, cache and manual spans a service makes for a request")
    failing: float = option(0.002, "share of the requests in which a service fails")
    slow: float = option(0.005, "share of the requests that the collector keeps as slow")
    head_rate: float = option(0.01, "sampling at the gateway: randomSamplingPercentage / 100")
    tail_rate: float = option(0.01, "sampling at the collector, of what neither failed nor was slow")
    decision_wait: float = option(10, "seconds that the collector holds a trace: decision_wait")
    kept_cap: float = option(200, "ECO2_TRACING_MAX_KEPT_TRACES_PER_SECOND, per process")
    service_span_bytes: float = option(330, "bytes of a service's span as OTLP; measured")
    proxy_span_bytes: float = option(900, "bytes of a proxy's span as Zipkin JSON; measured")
    span_cpu: float = option(10, "microseconds of CPU that a service spends for an exported span; measured")
    collector_rate: float = option(30_000, "spans a second that one core of a collector passes on; measured")
    held_bytes: float = option(2_000, "bytes of memory for a span that a collector holds; measured")
    stored_bytes: float = option(400, "bytes of a span on disk in Elasticsearch, one copy; see README.md")
    copies: float = option(2, "copies of each span in storage: one replica")
    utilisation: float = option(0.5, "share of a core that is planned to be used")
    cores: float = option(2, "cores of a collector's pod")
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
        kept: Spans of the services that failed, and of their callers up to the first.
        kept_traces: The number of those services: each keeps its own part.
        failed: Whether any service failed.
    """

    services: int = 0
    proxies: int = 2  # the gateway's, and that of its attempt
    kept: int = 0
    kept_traces: int = 0
    failed: bool = False


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
    caller = [source.randrange(place) if place else 0 for place in range(count)]
    failed = [source.random() < inputs.failing / inputs.services_per_request for _ in range(count)]
    made = Request(failed=any(failed))
    for place in reversed(range(count)):
        calls = sum(other == place for other in caller[1:])
        spans = 1 + calls + poisson(inputs.inner_spans, source)
        made.services += spans
        made.proxies += 1 + calls  # the sidecar: one inbound, one for each call
        if failed[place]:
            # A service that fails tells its caller, which keeps its part of the trace too.
            failed[caller[place]] = True
            made.kept += spans
            made.kept_traces += 1
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
    # At the gateway: a whole trace if it is sampled, else the parts that failed, which have no proxies' spans.
    kept = rate(lambda one: one.kept) * (1 - inputs.head_rate)
    failed = rate(lambda one: (one.services + one.proxies) * one.failed)
    head = inputs.head_rate
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
        traffic: Bytes a second into the collectors.
        replicas: Pods of the collector's gateway.
        memory: Bytes of memory of all of them.
        week: Bytes of storage for everything for 7 days.
        month: The same for 30 days.
        kit: The same for everything for 7 days and failed requests for 30.
        cost: A month of collectors and of the kit's storage.
    """

    cores: float
    traffic: float
    replicas: int
    memory: float
    week: float
    month: float
    kit: float
    cost: float


def plan(inputs: Inputs, flow: Flow, *, holds: bool) -> Plan:
    """Collectors, storage and cost.

    Args:
        inputs: The options.
        flow: Spans a second.
        holds: Whether the collectors hold traces to decide about them. Two layers pass each span then.
    """
    traffic = flow.services * inputs.service_span_bytes + flow.proxies * inputs.proxy_span_bytes
    passes = 2 if holds else 1
    cores = passes * flow.exported / inputs.collector_rate / inputs.utilisation
    replicas = max(2, ceil(cores / inputs.cores))
    held = flow.exported * inputs.decision_wait * inputs.held_bytes if holds else 0
    memory = held / inputs.utilisation + replicas * GIB / 2
    a_day = DAY_S * inputs.stored_bytes * inputs.copies
    week, month = 7 * a_day * flow.stored, 30 * a_day * flow.stored
    kit = a_day * (7 * flow.stored + 23 * flow.stored_errors)
    hours = 730
    running = replicas * inputs.cores * inputs.vcpu_price + memory / GIB * inputs.memory_price
    cost = running * hours + kit / GIB * inputs.disk_price
    services = flow.services * inputs.span_cpu / 1e6
    return Plan(services, traffic, replicas, memory, week, month, kit, cost)


def engine(size: float) -> str:
    """The storage for a number of bytes. The limits are judgements, not measurements."""
    if size <= 100 * GIB:
        return "one Elasticsearch"
    if size <= 20 * 1024 * GIB:
        return "Elasticsearch cluster"
    return "Tempo or ClickHouse"


def quantile(values: list[int], share: float) -> int:
    """The value that a share of the values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def number(value: float) -> str:
    """A number with three significant digits and spaces between thousands."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.{0 if value >= 10 or rounded.is_integer() else 2}f}".replace(",", " ")


def size(value: float) -> str:
    """A number of bytes, with its unit."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{number(value)} {unit}"
        value /= 1024
    return f"{number(value)} TiB"


def rows(inputs: Inputs, requests: list[Request]) -> list[tuple[str, ...]]:
    """The table: a row for each figure, a column for each way of sampling."""
    made = flows(inputs, requests)
    plans = {name: plan(inputs, flow, holds=name == "collector") for name, flow in made.items()}

    def row(text: str, show: Callable[[float], str], name: str, source: dict[str, object]) -> tuple[str, ...]:
        return (text, *(show(getattr(one, name)) for one in source.values()))

    return [
        ("sampled", *(f"at the {name}" for name in made)),
        row("spans exported a second", number, "exported", made),
        row("  by services", number, "services", made),
        row("  by proxies", number, "proxies", made),
        row("cores of all services for it", number, "cores", plans),
        row("into the collectors a second", size, "traffic", plans),
        row("collector pods", number, "replicas", plans),
        row("  memory of all", size, "memory", plans),
        row("spans stored a second", number, "stored", made),
        row("  of failed requests", number, "stored_errors", made),
        row("storage, everything 7 days", size, "week", plans),
        row("storage, everything 30 days", size, "month", plans),
        row("storage, 7 days, failed 30 days", size, "kit", plans),
        row("cost of a month", number, "cost", plans),
        ("storage engine", *(engine(one.kit) for one in plans.values())),
    ]


def limits(inputs: Inputs, requests: list[Request]) -> list[str]:
    """Where the settings stop to suffice."""
    processes = inputs.services * inputs.pods
    kept = inputs.rps * sum(one.kept_traces for one in requests) / len(requests) / processes
    share = inputs.failing * inputs.kept_cap / kept if kept else 1.0
    spans = inputs.rps * sum(one.services for one in requests) / len(requests) / processes
    pod = inputs.collector_rate * inputs.cores * inputs.utilisation
    when = f"reached if {100 * share:.3g} % of the requests fail" if share < 1 else "never reached"
    return [
        f"kept traces a second and process: {number(kept)}; the cap of {number(inputs.kept_cap)} is {when}",
        f"spans a second and process, sampled at the collector: {number(spans)}",
        f"a collector pod passes {number(pod)} spans a second at {100 * inputs.utilisation:.0f} % of its cores",
    ]


def report(inputs: Inputs) -> str:
    """The whole output."""
    requests = simulate(inputs)
    counts = [one.services + one.proxies for one in requests]
    table = rows(inputs, requests)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    of_services, of_proxies = (
        sum(getattr(one, name) for one in requests) / len(requests) for name in ("services", "proxies")
    )
    lines = [
        f"{number(inputs.services)} services, {number(inputs.services * inputs.pods)} processes, "
        f"{number(inputs.rps)} requests a second",
        f"spans of a request: {number(of_services)} of services and {number(of_proxies)} of proxies on average; "
        f"half have at most {quantile(counts, 0.5)}, 99 % at most {quantile(counts, 0.99)}",
        "",
        *(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in table
        ),
        "",
        *limits(inputs, requests),
    ]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Read the options and print the estimate."""
    parser = argparse.ArgumentParser(description="Estimate what tracing a cluster exports, stores and costs.")
    for one in fields(Inputs):
        text = f"{one.metadata['help']} (default: %(default)g)"
        parser.add_argument(f"--{one.name.replace('_', '-')}", type=float, default=one.default, help=text)
    print(report(Inputs(**vars(parser.parse_args(arguments)))))


if __name__ == "__main__":
    main()
