"""Checks of the mesh: providers, Telemetry resources, Sidecars, protocols of ports."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from tests.kubernetes.kit import Document, Kit, Resource, Workload

# Ports whose protocol Istio has to be told.
GRPC = {4317, 5779, 16685}
HTTP = {80, 3200, 4318, 5778, 9411, 16686}
SEEDS = {
    "google-external": {"accounts.google.com", "www.googleapis.com"},
    "kakao-external": {"kauth.kakao.com", "kapi.kakao.com"},
    "naver-external": {"nid.naver.com", "openapi.naver.com"},
    "openai-external": {"api.openai.com"},
    "aws-s3-external": {"*.s3.amazonaws.com", "*.s3.ap-northeast-2.amazonaws.com"},
    "aws-cloudfront": {"*.cloudfront.net", "images.dev.growbin.app"},
}


def tracing(provider: Document) -> Document | None:
    """The part of a provider that says where its spans go, if it is one for tracing."""
    return provider.get("zipkin") or provider.get("opentelemetry")


def ports(kit: Kit) -> Iterator[str]:
    """Each port of a Service declares its protocol, gRPC where it is gRPC."""
    for services in kit.services.values():
        for service in services:
            for port in service.spec["ports"]:
                expected = "grpc" if port["port"] in GRPC else "http" if port["port"] in HTTP else None
                if port.get("appProtocol") != expected or port.get("protocol", "TCP") != "TCP":
                    yield f"{service}: port {port['port']} is not declared {expected}"


def providers(kit: Kit) -> Iterator[str]:
    """Each provider of a Telemetry resource exists; its Service has the port, for its protocol, and a cluster IP."""
    known = kit.providers()
    for telemetry in kit.resources("Telemetry"):
        for section in ("tracing", "accessLogging"):
            for entry in telemetry.spec.get(section, []):
                for provider in entry["providers"]:
                    if provider["name"] not in known:
                        yield f"{telemetry}: meshConfig has no provider {provider['name']}"
    for name, provider in known.items():
        target = tracing(provider)
        if target is not None:
            protocol = "http" if "zipkin" in provider else "grpc"
            yield from serves(kit, f"provider {name}", target["service"], target["port"], protocol)


def serves(kit: Kit, user: str, host: str, port: int, protocol: str) -> Iterator[str]:
    """What is wrong with an address that somebody uses: no such Service, port or protocol."""
    found = kit.services.get(host)
    if found is None:
        yield f"{user}: there is no Service {host}"
        return
    for service in found:
        declared = {each["port"]: each.get("appProtocol") for each in service.spec["ports"]}
        if port not in declared:
            yield f"{user}: {service} has no port {port}"
        elif declared[port] != protocol:
            yield f"{user}: {service} declares port {port} as {declared[port]}, not as {protocol}"
        if service.spec.get("clusterIP") == "None":
            yield f"{user}: {service} is headless"


def scopes(kit: Kit) -> Iterator[str]:
    """One Telemetry resource a scope, with an access log of the root namespace that has the trace id, and tags."""
    for overlay in {telemetry.overlay for telemetry in kit.resources("Telemetry")}:
        seen: set[tuple[str, str]] = set()
        for telemetry in kit.resources("Telemetry", under=overlay):
            if telemetry.overlay != overlay:
                continue
            scope = (telemetry.namespace, str(telemetry.spec.get("selector")))
            if scope in seen:
                yield f"{telemetry}: a second Telemetry resource of its scope"
            seen.add(scope)
            for entry in telemetry.spec.get("tracing", []):
                if "deployment.environment.name" not in entry.get("customTags", {}):
                    yield f"{telemetry}: no tag deployment.environment.name"
    for provider in kit.providers().values():
        labels = provider.get("envoyFileAccessLog", {}).get("logFormat", {}).get("labels")
        if labels is not None and labels.get("trace.id") != "%TRACE_ID%":
            yield f"provider {provider['name']}: trace.id is not %TRACE_ID%"


def sidecars(kit: Kit) -> Iterator[str]:
    """Each Sidecar knows the namespaces of the providers, of the ServiceEntries and of the calls of its services."""
    needed = {host_namespace(target["service"]) for p in kit.providers().values() if (target := tracing(p))}
    needed |= {entry.namespace for entry in kit.resources("ServiceEntry", under="mesh/")}
    for sidecar in kit.resources("Sidecar"):
        known = {host.partition("/")[0] for egress in sidecar.spec["egress"] for host in egress["hosts"]}
        called = {
            host_namespace(urlsplit(value).hostname or "")
            for workload in kit.workloads("service/")
            if workload.resource.namespace == sidecar.namespace
            for name, value in workload.environ.items()
            if name.endswith(("_URL", "_ENDPOINT"))
        }
        for namespace in sorted((needed | called) - known - {sidecar.namespace} - {""}):
            yield f"{sidecar}: does not know {namespace}"


def host_namespace(host: str) -> str:
    """The namespace of a Service's full name; empty for other hosts."""
    name, _, rest = host.partition(".")
    return rest.partition(".")[0] if name and rest.endswith("svc.cluster.local") else ""


def external_systems(kit: Kit) -> Iterator[str]:
    """The six external systems have their ServiceEntries; those with wildcards are not resolved."""
    for overlay in {entry.overlay for entry in kit.resources("ServiceEntry")}:
        entries = {entry.name: entry for entry in kit.resources("ServiceEntry", under=overlay)}
        for name, hosts in SEEDS.items():
            if name not in entries or set(entries[name].spec["hosts"]) != hosts:
                yield f"{overlay}: ServiceEntry {name} is not for {', '.join(sorted(hosts))}"
        for entry in entries.values():
            wildcard = any(host.startswith("*") for host in entry.spec["hosts"])
            if wildcard and entry.spec["resolution"] != "NONE":
                yield f"{entry}: a wildcard cannot be resolved"


def switches(kit: Kit) -> Iterator[str]:
    """Provider, propagators and percentages of a service's overlay and of the mesh's are one choice."""
    for overlay in (o for o in kit.overlays if o.startswith("service/overlays/")):
        (workload,) = (pod for pod in kit.workloads(overlay) if pod.resource.overlay == overlay)
        environ = environ_of(kit, workload)
        first = environ["OTEL_PROPAGATORS"].partition(",")[0]
        counterpart = overlay.replace("service", "mesh")
        if counterpart not in kit.overlays:
            counterpart = "mesh/overlays/production"
        telemetries = [r for o in (overlay, counterpart) for r in kit.render(o) if r.kind == "Telemetry"]
        names = {p["name"] for t in telemetries for e in t.spec["tracing"] for p in e["providers"]}
        for name in sorted(names):
            wanted = "b3" if "zipkin" in kit.providers().get(name, {}) else "tracecontext"
            if first != wanted:
                yield f"{overlay}: OTEL_PROPAGATORS begins with {first}, and the provider {name} needs {wanted}"
        if len(names) > 1:
            yield f"{overlay} and {counterpart}: different providers, {', '.join(sorted(names))}"
        yield from _percentages(overlay, environ, telemetries)


def environ_of(kit: Kit, workload: Workload) -> dict[str, str]:
    """A service's variables, with those that the Operator injects."""
    environ = workload.environ
    if "OTEL_PROPAGATORS" not in environ:
        (instrumentation,) = kit.resources("Instrumentation")
        spec = instrumentation.spec
        environ |= {
            "OTEL_PROPAGATORS": ",".join(spec["propagators"]),
            "OTEL_TRACES_SAMPLER": spec["sampler"]["type"],
            "OTEL_TRACES_SAMPLER_ARG": spec["sampler"]["argument"],
            "OTEL_EXPORTER_OTLP_ENDPOINT": spec["exporter"]["endpoint"],
        }
        environ |= {variable["name"]: variable["value"] for variable in spec["env"]}
    return environ


def _percentages(overlay: str, environ: dict[str, str], telemetries: list[Resource]) -> Iterator[str]:
    sampler = environ["OTEL_TRACES_SAMPLER"]
    if sampler == "parentbased_jaeger_remote":
        return  # its rate is the server's
    rate = 100.0 if sampler == "parentbased_always_on" else 100 * float(environ["OTEL_TRACES_SAMPLER_ARG"])
    w3c = environ["OTEL_PROPAGATORS"].startswith("tracecontext")
    for telemetry in telemetries:
        gateway = telemetry.spec.get("selector", {}).get("matchLabels", {}).get("istio") == "ingressgateway"
        expected = rate if gateway or not w3c else 100.0
        for entry in telemetry.spec["tracing"]:
            if abs(entry["randomSamplingPercentage"] - expected) > 1e-9:
                yield f"{telemetry}: samples {entry['randomSamplingPercentage']} %, and {overlay} {expected} %"
            tag = entry["customTags"]["deployment.environment.name"]["literal"]["value"]
            if f"deployment.environment.name={tag}" not in environ["OTEL_RESOURCE_ATTRIBUTES"].split(","):
                yield f"{telemetry}: is of the environment {tag}, and {overlay} of another"


CHECKS = (ports, providers, scopes, sidecars, external_systems, switches)
