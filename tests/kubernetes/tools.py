"""Checks between the configurations of the tools: addresses, retention, index and metric names, links."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from tests.kubernetes.kit import Kit
from tests.kubernetes.mesh import serves
from tests.kubernetes.network import ADDRESS

TIERS = {
    "otel-agent": "collector/plain/agent-config.yaml",
    "otel-gateway": "collector/plain/gateway-config.yaml",
}
JAEGER = "jaeger/production/collector-config.yaml", "jaeger/production/query-config.yaml"
PORTS = {4317: "grpc", 5778: "http", 16685: "grpc", 16686: "http", 3200: "http"}


def addresses(kit: Kit) -> Iterator[str]:
    """Each address of our own namespace that a file names is a Service's, with this port and its protocol."""
    for path in sorted(kit.folder.rglob("*.yaml")):
        for host, port in ADDRESS.findall(path.read_text()):
            if ".observability.svc" in host:
                name = host if host.endswith(".cluster.local") else f"{host}.cluster.local"
                where = str(path.relative_to(kit.folder))
                yield from serves(kit, where, name, int(port), PORTS.get(int(port), "grpc"))


def tiers(kit: Kit) -> Iterator[str]:
    """The Operator's collectors have the plain ones' configuration, image, resources and addresses."""
    plain = {workload.resource.name: workload for workload in kit.workloads("collector/plain")}
    for collector in kit.resources("OpenTelemetryCollector"):
        path = TIERS[collector.name]
        if collector.spec["config"] != kit.read(path):
            yield f"{collector}: its config is not that of {path}"
        (container,) = plain[collector.name].containers
        for key in ("image", "resources", "securityContext"):
            if collector.spec[key] != container[key]:
                yield f"{collector}: its {key} is not that of {plain[collector.name]}"
        service = f"{collector.name}-collector"
        if not any(host.startswith(service) for host in kit.services):
            yield f"{collector}: the Operator's Service {service} has another name in collector/plain"
    agent = kit.read(TIERS["otel-agent"])["exporters"]["load_balancing"]
    members = agent["resolver"]["k8s"]
    found = kit.services.get(f"{members['service']}.svc.cluster.local", [])
    if agent["routing_key"] != "traceID":
        yield "collector: not balanced by trace id"
    if not found or any(service.spec.get("clusterIP") != "None" for service in found):
        yield f"collector: {members['service']} is no headless Service"
    elif members["ports"] != [port["port"] for port in found[0].spec["ports"]]:
        yield f"collector: {members['service']} has other ports than {members['ports']}"


def policies(kit: Kit) -> Iterator[str]:
    """The second tier keeps every error, what is as slow as in the production overlay, and as much of the rest."""
    config = kit.read(TIERS["otel-gateway"])
    kept = {
        policy["type"]: policy[policy["type"]] for policy in config["processors"]["tail_sampling"]["policies"]
    }
    overlay = "service/overlays/production"
    (environ,) = (pod.environ for pod in kit.workloads(overlay) if pod.resource.overlay == overlay)
    if kept.get("status_code", {}).get("status_codes") != ["ERROR"]:
        yield "collector: errors are not kept"
    if str(kept["latency"]["threshold_ms"]) != environ["ECO2_TRACING_SLOW_THRESHOLD_MS"]:
        yield "collector: another threshold than ECO2_TRACING_SLOW_THRESHOLD_MS of production"
    if (
        abs(kept["probabilistic"]["sampling_percentage"] - 100 * float(environ["OTEL_TRACES_SAMPLER_ARG"]))
        > 1e-9
    ):
        yield "collector: another share than OTEL_TRACES_SAMPLER_ARG of production"
    for pipeline in config["service"]["pipelines"].values():
        order = pipeline["processors"]
        if (
            "tail_sampling" in order
            and "batch" in order
            and order.index("batch") < order.index("tail_sampling")
        ):
            yield "collector: batch stands before the sampler"


def retention(kit: Kit) -> Iterator[str]:
    """Indices are deleted after 7 and 30 days, and searched as far back; collector and query know the same ones."""
    collector, query = (kit.read(path)["extensions"]["jaeger_storage"]["backends"] for path in JAEGER)
    days = {}
    for job in kit.workloads("jaeger/production"):
        if job.resource.kind == "CronJob":
            days[job.environ["INDEX_PREFIX"]] = job.containers[0]["args"][0]
    for backend, expected in {"week": "7", "month": "30"}.items():
        written, read = collector[backend]["elasticsearch"], query[backend]["elasticsearch"]
        prefix = written["indices"]["index_prefix"]
        if read["indices"]["index_prefix"] != prefix or read["server_urls"] != written["server_urls"]:
            yield f"jaeger: collector and query have different storages {backend}"
        if days.get(prefix) != expected:
            yield f"jaeger: indices {prefix} are deleted after {days.get(prefix)} days, not {expected}"
        if read.get("max_span_age") != f"{24 * int(expected)}h":
            yield f"jaeger: {backend} is searched for {read.get('max_span_age')}, not for {expected} days"
    exporters = kit.read(JAEGER[0])["exporters"]
    storages = {name for name, backend in collector.items() if "elasticsearch" in backend}
    if {exporter["trace_storage"] for exporter in exporters.values()} != storages:
        yield "jaeger: an exporter names no storage, or a storage gets no spans"
    storage = kit.read(JAEGER[1])["extensions"]["jaeger_query"]["storage"]
    if storage != {"traces": "week", "traces_archive": "month"}:
        yield "jaeger: the query server does not look into both storages"


def links(kit: Kit) -> Iterator[str]:
    """Log lines and traces link to each other by the same hosts, index and data view; data sources exist."""
    objects = [
        json.loads(line) for line in (kit.folder / "kibana/saved-objects.ndjson").read_text().splitlines()
    ]
    (view,) = (each for each in objects if each["type"] == "index-pattern")
    (jaeger_url,) = re.findall(r"https://[\w.-]+", view["attributes"]["fieldFormatMap"])
    template = json.loads(view["attributes"]["fieldFormatMap"])["trace.id"]["params"]["urlTemplate"]
    if template != f"{jaeger_url}/trace/{{{{value}}}}":
        yield f"kibana: trace.id opens {template}"
    for kiali in kit.resources("Kiali"):
        tracing = kiali.spec["external_services"]["tracing"]
        if tracing["external_url"] != jaeger_url:
            yield f"{kiali}: external_url is not {jaeger_url}"
        if (urlsplit(tracing["internal_url"]).port == 16685) != tracing["use_grpc"]:
            yield f"{kiali}: use_grpc is not for the port of internal_url"
    output = kit.read("fluent-bit/fluent-bit.yaml")["pipeline"]["outputs"][0]
    sources = kit.read("grafana/datasources.yaml")["datasources"]
    logs = next(each for each in sources if each["uid"] == "eco2-logs")
    expected = f"{output['logstash_prefix']}-*"
    if not expected == view["attributes"]["title"] == logs["jsonData"]["index"]:
        yield f"kibana, grafana: the index is not Fluent Bit's {expected}"
    for pattern in kit.read("jaeger/ui/ui.json")["linkPatterns"]:
        if f"index:{view['id']}," not in pattern["url"] or "trace.id" not in pattern["url"]:
            yield f"jaeger: the link {pattern['text']} does not look for trace.id in {view['id']}"
    known = {source["uid"] for source in sources}
    files = ("grafana/datasources.yaml", "grafana/dashboard.json")
    text = "".join((kit.folder / file).read_text() for file in files)
    used = set(re.findall(r'(?:datasourceUid: |"uid": ")(eco2-[\w-]+)', text)) - {"eco2-services"}
    for uid in sorted(used - known):
        yield f"grafana: there is no data source {uid}"


def dashboard(kit: Kit) -> Iterator[str]:
    """The dashboard's metrics and labels are those that the collector's connector makes."""
    connector = kit.read(TIERS["otel-gateway"])["connectors"]["span_metrics"]
    labels = {"service_name", "span_kind", "status_code", "le"}
    labels |= {dimension["name"].replace(".", "_") for dimension in connector["dimensions"]}
    metrics = {"traces_span_metrics_calls_total", "traces_span_metrics_duration_milliseconds_bucket"}
    for expression in _expressions(kit.read("grafana/dashboard.json")):
        for metric in set(re.findall(r"\btraces_\w+", expression)) - metrics:
            yield f"grafana: no connector makes {metric}"
        used = set(re.findall(r"(\w+)=~?\"", expression))
        for group in re.findall(r"by \(([^)]*)\)", expression):
            used |= {name.strip() for name in group.split(",")}
        for label in sorted(used - labels):
            yield f"grafana: the connector makes no label {label}"


def _expressions(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (value[key] for key in ("expr", "query") if "traces_" in str(value.get(key)))
        for item in value.values():
            yield from _expressions(item)
    elif isinstance(value, list):
        for item in value:
            yield from _expressions(item)


CHECKS = (addresses, tiers, policies, retention, links, dashboard)
