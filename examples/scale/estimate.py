"""What tracing a cluster exports, stores and costs, from measured sizes and rates: python estimate.py --help

The standard library is enough. A simulation of requests through random call trees gives the number of spans; the rest
is arithmetic. Each input is an option, so put your own numbers in the place of the defaults.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields

from model import GIB, Inputs, Request, flows, plan, simulate


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
    plans = {name: plan(inputs, flow, decides=name == "collector") for name, flow in made.items()}

    def row(text: str, show: Callable[[float], str], name: str, source: dict[str, object]) -> tuple[str, ...]:
        return (text, *(show(getattr(one, name)) for one in source.values()))

    return [
        ("sampled", *(f"at the {name}" for name in made)),
        row("spans exported a second", number, "exported", made),
        row("  by services", number, "services", made),
        row("  by proxies", number, "proxies", made),
        row("cores of all services", number, "cores", plans),
        row("sent to collectors a second", size, "traffic", plans),
        row("cores of collector agents", number, "agents", plans),
        row("collector pods that decide", number, "deciding", plans),
        row("collector pods that write", number, "writing", plans),
        row("cores of the storage", number, "indexing", plans),
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
    traces = sum(one.kept_traces for one in requests) / len(requests)
    kept = inputs.rps * inputs.failing * traces / processes
    share = inputs.kept_cap * processes / inputs.rps / traces
    spans = inputs.rps * sum(one.services for one in requests) / len(requests) / processes
    when = f"reached if {100 * share:.3g} % of the requests fail" if share < 1 else "never reached"
    held = inputs.rps * inputs.decision_wait
    return [
        f"kept traces a second and process: {number(kept)}; the cap of {number(inputs.kept_cap)} is {when}",
        f"spans a second and process, sampled at the collector: {number(spans)}",
        f"traces that collectors hold: {number(held)}; {number(inputs.num_traces)} a pod at most",
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
    processes = number(inputs.services * inputs.pods)
    half, most = quantile(counts, 0.5), quantile(counts, 0.99)
    lines = [
        f"{number(inputs.services)} services, {processes} processes, {number(inputs.rps)} requests a second",
        f"spans of a request: on average {number(of_services)} of services and {number(of_proxies)} of proxies",
        f"half of the requests have at most {half}, 99 % at most {most}",
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
