"""Checks against the library: its variables, ports, excluded paths, attributes and log fields."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import re
from collections.abc import Iterator
from unittest.mock import patch
from urllib.parse import urlsplit

from eco2_tracing import TracingSettings
from eco2_tracing._instrumentation.common.excluded import DEFAULT_EXCLUDED_PATHS, ExcludedPaths
from eco2_tracing._resource.build import kubernetes_facts
from eco2_tracing._settings.otlp import _OTLP_PORT
from eco2_tracing.logs import EcsFormatter
from eco2_tracing.logs._fields import ECS_VERSION, RESERVED
from eco2_tracing.propagation._formats import REQUEST_ID
from eco2_tracing.sampling._build import DEFAULT_ENDPOINT
from eco2_tracing.sampling._tail.local_trace import ERROR, PROBABILITY, REASON, SLOW, UPSTREAM
from tests.kubernetes.kit import Kit, Workload, parsed
from tests.kubernetes.mesh import environ_of

RATES = {"dev": 1.0, "staging": 0.1, "production": 0.01, "operator": 0.01}
EXIT_BUDGET = 2.5  # seconds, docs/lifecycle.md
OTLP_PORTS = set(_OTLP_PORT.values())


def _services(kit: Kit) -> Iterator[tuple[str, Workload]]:
    for workload in kit.workloads("service/overlays/"):
        yield workload.resource.overlay.rpartition("/")[2], workload


def settings(kit: Kit) -> Iterator[str]:
    """The library accepts each overlay's variables: no warning, the rate of its environment, every error kept."""
    for name, workload in _services(kit):
        environ = environ_of(kit, workload)
        with patch.dict(os.environ, environ, clear=True):
            read = TracingSettings()
        for problem in read.problems:
            yield f"{workload}: {problem.message}"
        if read.error_sampling_rate != 1.0:
            yield f"{workload}: keeps {read.error_sampling_rate} of the errors"
        if name in RATES and (read.traces_sampler, read.traces_sampler_arg) != (
            "parentbased_traceidratio",
            environ["OTEL_TRACES_SAMPLER_ARG"],
        ):
            yield f"{workload}: its sampler is {read.traces_sampler}"
        if name in RATES and float(read.traces_sampler_arg or "nan") != RATES[name]:
            yield f"{workload}: samples {read.traces_sampler_arg}, not {RATES[name]}"
        if urlsplit(read.exporter_otlp_endpoint).port != _OTLP_PORT[read.exporter_otlp_protocol]:
            yield f"{workload}: {read.exporter_otlp_endpoint} is not for {read.exporter_otlp_protocol}"


def variables(kit: Kit) -> Iterator[str]:
    """The library turns each variable of the downward API into an attribute of the pod."""
    for _, workload in _services(kit):
        environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
        for container in workload.containers:
            for variable in container["env"]:
                if "valueFrom" in variable:
                    environ[variable["name"]] = variable["name"]
        found = set(kubernetes_facts(environ).values())
        for name in sorted(environ.keys() - found - {"KUBERNETES_SERVICE_HOST"}):
            yield f"{workload}: the library reads no {name}"


def probes(kit: Kit) -> Iterator[str]:
    """Probes ask paths that the library does not trace, and the pod's end leaves time for the last export."""
    excluded = ExcludedPaths(DEFAULT_EXCLUDED_PATHS)
    for _, workload in _services(kit):
        for container in workload.containers:
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                path = container[probe]["httpGet"]["path"]
                if not excluded(path, ""):
                    yield f"{workload}: {probe} asks {path}, which is traced"
            drain = container["lifecycle"]["preStop"]["sleep"]["seconds"]
            (graceful,) = re.findall(r"--timeout-graceful-shutdown=(\d+)", " ".join(container["command"]))
            proxy = parsed(workload.template["metadata"]["annotations"]["proxy.istio.io/config"])
            sidecar = int(proxy["proxyMetadata"]["MINIMUM_DRAIN_DURATION"].removesuffix("s"))
            if sidecar <= drain:
                yield f"{workload}: its sidecar may end before the service begins to"
            needed = drain + int(graceful) + EXIT_BUDGET + sidecar
            if workload.pod["terminationGracePeriodSeconds"] < needed:
                yield f"{workload}: is killed after less than the {needed} s that its end may take"


def ports(kit: Kit) -> Iterator[str]:
    """What receives spans listens on the ports of the library, and strategies are where it asks for them."""
    strategies = urlsplit(DEFAULT_ENDPOINT)
    for host, services in kit.services.items():
        if host.startswith(("jaeger-collector.", "otel-agent-collector.", "tempo.")):
            for service in services:
                missing = OTLP_PORTS - {port["port"] for port in service.spec["ports"]}
                for port in sorted(missing):
                    yield f"{service}: no port {port}, to which the library exports"
    for _, workload in _services(kit):
        if "jaeger_remote" in workload.environ.get("OTEL_TRACES_SAMPLER", ""):
            argument = dict(
                part.split("=", 1) for part in workload.environ["OTEL_TRACES_SAMPLER_ARG"].split(",")
            )
            url = urlsplit(argument["endpoint"])
            if (url.port, url.path) != (strategies.port, strategies.path):
                yield f"{workload}: strategies are not at {url.port}{url.path}"


def names(kit: Kit) -> Iterator[str]:
    """Attributes, their values, log fields and header names in all files are those of the library."""
    for path in sorted(path for path in kit.folder.rglob("*") if path.is_file()):
        for name in re.findall(r"\beco2\.[a-z]+\.[a-z_]+", path.read_text()):
            if name not in {REASON, PROBABILITY}:
                yield f"{path.relative_to(kit.folder)}: the library has no attribute {name}"
    sampling = kit.read("jaeger/production/collector-config.yaml")["processors"]["tail_sampling"]
    kept = {policy["name"]: policy for policy in sampling["policies"]}["kept"]["string_attribute"]
    if kept != {"key": REASON, "values": [ERROR, SLOW, UPSTREAM]}:
        yield f"jaeger: kept traces have {REASON} {ERROR}, {SLOW} or {UPSTREAM}"
    (access,) = (p["envoyFileAccessLog"] for p in kit.providers().values() if "envoyFileAccessLog" in p)
    labels = access["logFormat"]["labels"]
    for field in sorted({"@timestamp", "log.level", "message", "ecs.version", "service.name", "trace.id"}):
        if field not in labels or field not in RESERVED:
            yield f"meshConfig: the access log has no {field}"
    if labels.get("ecs.version") != ECS_VERSION:
        yield f"meshConfig: the access log is not of ECS {ECS_VERSION}"
    if labels.get("http.request.id") != f"%REQ({REQUEST_ID.decode().upper()})%":
        yield f"meshConfig: http.request.id is not {REQUEST_ID.decode()}"


def log_lines(kit: Kit) -> Iterator[str]:
    """Fluent Bit joins what containerd cuts, reads the time of our lines, and keeps the names of fields."""
    pipeline = kit.read("fluent-bit/fluent-bit.yaml")["pipeline"]
    (parser,) = kit.read("fluent-bit/parsers.yaml")["parsers"]
    if [tail.get("multiline.parser") for tail in pipeline["inputs"]] != ["cri"]:
        yield "fluent-bit: lines of containerd are not joined"
    if (
        parser["name"] not in {step.get("parser") for step in pipeline["filters"]}
        or parser["format"] != "json"
    ):
        yield "fluent-bit: no filter reads the JSON of a line"
    line = json.loads(EcsFormatter().format(logging.makeLogRecord({"msg": "x", "levelname": "INFO"})))
    try:
        dt.datetime.strptime(line[parser["time_key"]], parser["time_format"].replace("%L", "%f"))
    except (KeyError, ValueError) as error:
        yield f"fluent-bit: the time of a line cannot be read: {error}"
    (output,) = pipeline["outputs"]
    if parser["time_keep"] or output["time_key"] != parser["time_key"]:
        yield "fluent-bit: a document has @timestamp twice, or not at all"
    if output["replace_dots"]:
        yield "fluent-bit: trace.id gets another name"


CHECKS = (settings, variables, probes, ports, names, log_lines)
