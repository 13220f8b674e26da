"""Checks propagators and sampling against what the mesh in front sends."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from eco2_tracing._doctor.delivery import get
from eco2_tracing._doctor.finding import Facts, Finding

_PAGE = "docs/mesh.md"
_ADMIN_S = 1.0
_B3 = ("b3", "b3multi")
_TRACER = re.compile(r'"provider":\s*\{\s*"name":\s*"envoy\.tracers\.(\w+)"')


@dataclass(slots=True)
class Mesh:
    """What the mesh sends.

    Attributes:
        source: Where this is known from.
        b3: B3 headers: ``multi``, ``single`` or an empty string.
        w3c: It sends ``traceparent``.
        differs: B3 and W3C name different traces.
        decides: Each request has a sampling decision.
        percentage: Share of the traces that the mesh samples, in percent, if known.
    """

    source: str
    b3: str = ""
    w3c: bool = False
    differs: bool = False
    decides: bool = False
    percentage: float | None = field(default=None)


def parse_headers(text: str) -> dict[str, str]:
    """Return the headers of a sample: lines of ``name: value``, or a JSON object.

    Raises:
        ValueError: It is neither.
    """
    if text.lstrip().startswith("{"):
        found = json.loads(text)
        return {str(name).lower(): str(value) for name, value in found.items()}
    headers = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"expected lines of name: value, found {line[:40]!r}")
        headers[name.strip().lower()] = value.strip()
    return headers


def of_headers(headers: Mapping[str, str]) -> Mesh:
    """Return what the headers of one request say about the mesh."""
    mesh = Mesh("the sample of headers")
    single = headers.get("b3", "").split("-")
    multi = headers.get("x-b3-traceid", "")
    parent = headers.get("traceparent", "").split("-")
    if multi:
        mesh.b3 = "multi"
    elif len(single) > 1:
        mesh.b3 = "single"
    mesh.w3c = len(parent) > 3
    b3_id = (multi or single[0]).lower().zfill(32)
    mesh.differs = bool(mesh.b3) and mesh.w3c and parent[1].lower() != b3_id
    mesh.decides = mesh.w3c or "x-b3-sampled" in headers or "x-b3-flags" in headers or len(single) > 2
    return mesh


def of_envoy(url: str, limit_s: float) -> Mesh | None:
    """Return what the configuration of the sidecar says; ``None`` if its admin interface does not answer."""
    try:
        answer = get(f"{url.rstrip('/')}/config_dump", limit_s)
    except (OSError, ValueError):
        return None
    text = answer.body.decode("utf-8", "replace")
    mesh = Mesh(f"Envoy's configuration at {url}")
    tracers = set(_TRACER.findall(text))  # the dump lists the names of all extensions, too
    if "zipkin" in tracers:
        mesh.b3, mesh.decides = "multi", True
        mesh.w3c = "USE_B3_WITH_W3C_PROPAGATION" in text
    elif "opentelemetry" in tracers:
        mesh.w3c = mesh.decides = True
    else:
        return None
    if found := re.search(r'"random_sampling":\s*\{\s*"value":\s*([\d.]+)', text):
        mesh.percentage = float(found[1])
    return mesh


def check_mesh(facts: Facts) -> Iterator[Finding]:
    """Yield findings where propagators or sampler do not fit the mesh."""
    mesh = of_headers(facts.headers) if facts.headers is not None else None
    mesh = mesh or of_envoy(facts.envoy, facts.left(_ADMIN_S))
    if mesh is None or not (mesh.b3 or mesh.w3c):
        return
    yield from _of_order(facts, mesh)
    if mesh.b3 == "single":
        yield Finding(
            "b3-single-header",
            "warning",
            "b3",
            f"{mesh.source} has the single header b3",
            "A client's own X-B3-* headers pass such a proxy untouched, and X-B3-* wins here.",
            "Let the proxy send X-B3-* headers: with Traefik and Caddy, set OTEL_PROPAGATORS=b3multi for the proxy.",
            _PAGE,
        )
    if mesh.decides:
        yield from _of_ratio(facts, mesh)


def _of_order(facts: Facts, mesh: Mesh) -> Iterator[Finding]:
    names = list(facts.settings.propagators)
    found = f"OTEL_PROPAGATORS={','.join(names)}; {mesh.source} has {_shown(mesh)}"
    b3_at = next((names.index(each) for each in names if each in _B3), None)
    w3c_at = names.index("tracecontext") if "tracecontext" in names else None
    if mesh.b3 and b3_at is None and not mesh.w3c:
        yield _order(
            "propagator-missing", found, "No propagator reads B3, so each request begins a new trace.", "b3"
        )
    elif mesh.w3c and w3c_at is None and not mesh.b3:
        kind, problem = (
            "propagator-missing",
            "No propagator reads traceparent, so each request begins a new trace.",
        )
        yield _order(kind, found, problem, "tracecontext")
    elif mesh.differs:
        yield Finding(
            "contexts-differ", "warning", "OTEL_PROPAGATORS", found,
            "B3 and traceparent name different traces: one of them is left over from the client, and the first format "
            "in OTEL_PROPAGATORS wins.",
            "With Istio's Zipkin provider set OTEL_PROPAGATORS=b3,tracecontext,baggage; with its OpenTelemetry "
            "provider set OTEL_PROPAGATORS=tracecontext,b3,baggage.", _PAGE,
        )  # fmt: skip
    elif mesh.b3 and not mesh.w3c and w3c_at is not None and (b3_at is None or w3c_at < b3_at):
        problem = "The mesh speaks B3 and lets a client's traceparent pass, which wins: the trace is torn."
        yield _order("w3c-first-behind-b3", found, problem, "b3")
    elif mesh.w3c and not mesh.b3 and b3_at is not None and (w3c_at is None or b3_at < w3c_at):
        problem = "The mesh speaks W3C and lets a client's X-B3-* pass, which wins: the trace is torn."
        yield _order("b3-first-behind-w3c", found, problem, "tracecontext")


def _order(kind: str, found: str, problem: str, first: str) -> Finding:
    order = "b3,tracecontext,baggage" if first == "b3" else "tracecontext,b3,baggage"
    cure = f"Set OTEL_PROPAGATORS={order}."
    return Finding(kind, "error", "OTEL_PROPAGATORS", found, problem, cure, _PAGE)


def _shown(mesh: Mesh) -> str:
    b3 = {"multi": "X-B3-*", "single": "b3", "": ""}[mesh.b3]
    return " and ".join(filter(None, (b3, "traceparent" if mesh.w3c else "")))


def _of_ratio(facts: Facts, mesh: Mesh) -> Iterator[Finding]:
    settings = facts.settings
    if settings.traces_sampler != "parentbased_traceidratio" or settings.traces_sampler_arg is None:
        return
    share = float(settings.traces_sampler_arg) * 100
    if mesh.percentage is not None and abs(mesh.percentage - share) < 1e-9:
        return
    known = "" if mesh.percentage is None else f", and samples {mesh.percentage:g} %"
    yield Finding(
        "ratio-has-no-effect", "warning", "OTEL_TRACES_SAMPLER_ARG",
        f"OTEL_TRACES_SAMPLER_ARG={settings.traces_sampler_arg}; {mesh.source} shows that the mesh decides{known}",
        "The ratio applies to requests without a decision, and the mesh sends one with each request.",
        "Set the share at the gateway: randomSamplingPercentage of Istio's Telemetry. Errors are kept here whatever "
        "it decides.", "docs/sampling.md",
    )  # fmt: skip
