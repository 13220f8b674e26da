"""Changes of single lines that break the kit, each with the check that must find it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.kubernetes import library, mesh, network, pods, tools
from tests.kubernetes.kit import Kit

Check = Callable[[Kit], Iterator[str]]


@dataclass(frozen=True)
class Breakage:
    """One change.

    Attributes:
        check: What must find it.
        file: The file that is changed, relative to the kit.
        old: A text of the file.
        new: What replaces its first occurrence.
        finding: A part of the finding.
    """

    check: Check
    file: str
    old: str
    new: str
    finding: str


DEPLOYMENT = "service/base/deployment.yaml"
POLICY = "service/base/network-policy.yaml"
MESH = "mesh/base/mesh-config.yaml"
SERVICES = "jaeger/dev/services.yaml"
AGENT, GATEWAY = "collector/plain/agent-config.yaml", "collector/plain/gateway-config.yaml"
COLLECTOR = "jaeger/production/collector-config.yaml"

PODS = [
    Breakage(pods.images, DEPLOYMENT, "auth-api:1.2.0", "auth-api:1.3.0", "is not in images.yaml"),
    Breakage(pods.images, "tempo/stateful-set.yaml", "tempo:3.0.3", "tempo:latest", "has no fixed tag"),
    Breakage(pods.images, "../images.yaml", "date: 2026-11-30", "date: today", "no date"),
    Breakage(pods.images, "../images.yaml", "images:\n", "images:\n  busybox: 1.37.0\n", "busybox is not used"),
    Breakage(pods.rights, DEPLOYMENT, "runAsNonRoot: true", "runAsNonRoot: false", "may run as root"),
    Breakage(pods.rights, "jaeger/dev/deployment.yaml", "drop: [ALL]", "drop: []", "rights that it does not need"),
    Breakage(pods.rights, "collector/plain/agent.yaml", "type: RuntimeDefault", "type: Unconfined", "seccompProfile"),
    Breakage(pods.rights, "tempo/stateful-set.yaml", "serviceAccountName: tempo", "hostname: tempo", "default account"),
    Breakage(pods.resources_and_probes, DEPLOYMENT, "memory: 256Mi", "ephemeral-storage: 1Gi", "no requests or limits"),
    Breakage(pods.resources_and_probes, DEPLOYMENT, "readinessProbe:", "x-readiness:", "has no readinessProbe"),
    Breakage(pods.resources_and_probes, DEPLOYMENT, "port: http", "port: web", "asks port web"),
    Breakage(
        pods.resources_and_probes,
        "service/base/kustomization.yaml",
        "  - pod-disruption-budget.yaml\n",
        "",
        "no PodDisruptionBudget",
    ),
    Breakage(pods.selectors, "service/base/service.yaml", "    app: auth-api\n  ports", "    app: auth\n  ports", "no pod"),
    Breakage(pods.selectors, "service/base/service.yaml", "targetPort: http", "targetPort: web", "goes to web"),
    Breakage(pods.selectors, DEPLOYMENT, "matchLabels:\n      app: auth-api", "matchLabels:\n      app: auth", "its pods"),
    Breakage(pods.selectors, "service/components/mesh-zipkin/telemetry.yaml", "app: auth-api", "app: auth", "no pod"),
    Breakage(pods.volumes, "jaeger/dev/deployment.yaml", "configMap: {name: jaeger}", "configMap: {name: j}", "ConfigMap j"),
    Breakage(pods.volumes, "jaeger/dev/deployment.yaml", "jaeger/config.yaml", "jaeger/c.yaml", "is in no ConfigMap"),
    Breakage(pods.secrets, COLLECTOR, '"${env:ES_PASSWORD}"', "changeme", "password: changeme"),
    Breakage(pods.secrets, DEPLOYMENT, "name: CHARACTER_API_URL", "name: DATABASE_PASSWORD", "DATABASE_PASSWORD"),
    Breakage(pods.secrets, "service/base/service-account.yaml", "kind: ServiceAccount", "kind: Secret", "a Secret"),
]
MESHES = [
    Breakage(mesh.ports, SERVICES, "appProtocol: grpc", "appProtocol: http", "4317 is not declared grpc"),
    Breakage(mesh.ports, SERVICES, ", appProtocol: grpc", "", "4317 is not declared grpc"),
    Breakage(mesh.providers, MESH, "name: jaeger-zipkin", "name: zipkin", "has no provider jaeger-zipkin"),
    Breakage(mesh.providers, MESH, "name: json-access-log", "name: json", "has no provider json-access-log"),
    Breakage(mesh.providers, MESH, "jaeger-collector.", "jaeger.", "there is no Service jaeger."),
    Breakage(mesh.providers, MESH, "port: 9411", "port: 9412", "has no port 9412"),
    Breakage(mesh.providers, MESH, "port: 4317", "port: 4318", "as http, not as grpc"),
    Breakage(mesh.providers, SERVICES, "type: ClusterIP", "clusterIP: None", "is headless"),
    Breakage(
        mesh.scopes,
        "mesh/components/zipkin/telemetry.yaml",
        "  selector:\n    matchLabels:\n      istio: ingressgateway\n",
        "",
        "a second Telemetry resource",
    ),
    Breakage(
        mesh.scopes,
        "mesh/overlays/production/kustomization.yaml",
        "op: replace\n        path: /spec/tracing/0/customTags/deployment.environment.name/literal/value\n        value: production",
        "op: remove\n        path: /spec/tracing/0/customTags/deployment.environment.name",
        "no tag deployment.environment.name",
    ),
    Breakage(mesh.scopes, MESH, '"%TRACE_ID%"', '"%REQ(X-B3-TRACEID)%"', "is not %TRACE_ID%"),
    Breakage(mesh.sidecars, "mesh/base/sidecars.yaml", "        - observability/*\n", "", "does not know observability"),
    Breakage(mesh.sidecars, "mesh/base/sidecars.yaml", "- character/*", "- shop/*", "does not know character"),
    Breakage(mesh.external_systems, "mesh/base/service-entries.yaml", "kauth.kakao.com, ", "", "kakao-external"),
    Breakage(mesh.external_systems, "mesh/base/service-entries.yaml", "resolution: NONE", "resolution: DNS", "wildcard"),
    Breakage(
        mesh.switches,
        "service/components/mesh-zipkin/environment.yaml",
        "b3,tracecontext",
        "tracecontext,b3",
        "the provider jaeger-zipkin needs b3",
    ),
    Breakage(
        mesh.switches,
        "service/overlays/production/kustomization.yaml",
        "components/mesh-zipkin",
        "components/mesh-otel",
        "different providers, jaeger-otlp, jaeger-zipkin",
    ),
    Breakage(mesh.switches, "mesh/overlays/production/kustomization.yaml", "value: 1\n", "value: 10\n", "samples 10 %"),
    Breakage(mesh.switches, "mesh/overlays/staging/kustomization.yaml", "value: staging", "value: stage", "environment stage"),
    Breakage(
        mesh.switches, "collector/operator/instrumentation.yaml", "[b3, tracecontext", "[tracecontext, b3", "needs b3"
    ),
]
NETWORKS = [
    Breakage(network.egress, POLICY, "- {protocol: TCP, port: 4317}", "- {protocol: TCP, port: 4316}", "TCP 4317"),
    Breakage(network.egress, POLICY, "- {protocol: TCP, port: 9411}", "- {protocol: TCP, port: 9410}", "TCP 9411"),
    Breakage(network.egress, POLICY, "- {protocol: UDP, port: 53}", "- {protocol: TCP, port: 53}", "UDP 53"),
    Breakage(network.egress, POLICY, "port: 15012", "port: 15010", "TCP 15012 of istio-system"),
    Breakage(network.egress, POLICY, "app: character-api", "app: character", "CHARACTER_API_URL"),
    Breakage(
        network.egress,
        "service/components/remote-sampling/network-policy.yaml",
        "port: 5778",
        "port: 5779",
        "TCP 5778 of observability: OTEL_TRACES_SAMPLER_ARG",
    ),
    Breakage(
        network.egress,
        "service/components/mesh-collector/network-policy.yaml",
        "name: otel-agent-collector",
        "name: otel-agent",
        "TCP 4317 of observability: OTEL_EXPORTER_OTLP_ENDPOINT",
    ),
    Breakage(network.egress, "jaeger/production/network-policies.yaml", "port: 9200", "port: 9300", "TCP 9200"),
    Breakage(network.egress, "collector/access/network-policies.yaml", "name: jaeger\n", "name: tempo\n", "TCP 4317"),
    Breakage(network.ingress, "jaeger/dev/network-policy.yaml", "port: 9411", "port: 9410", "TCP 9411: provider"),
    Breakage(network.ingress, "jaeger/dev/network-policy.yaml", "- namespaceSelector: {}", "- podSelector: {}", "TCP 4317"),
    Breakage(
        network.ingress,
        "collector/access/network-policies.yaml",
        "- podSelector:\n            matchLabels:\n              app.kubernetes.io/name: otel-agent-collector",
        "- podSelector:\n            matchLabels:\n              app.kubernetes.io/name: otel-agent",
        "no ingress from collector/plain: DaemonSet",
    ),
]
TOOLS = [
    Breakage(tools.addresses, GATEWAY, "jaeger-collector.", "jaeger.", "there is no Service jaeger."),
    Breakage(tools.addresses, "grafana/datasources.yaml", ":3200", ":3100", "has no port 3100"),
    Breakage(tools.addresses, "kiali/kiali.yaml", "jaeger-query.observability.svc.cluster.local:16685",
             "jaeger-query.observability.svc.cluster.local:16680", "has no port 16680"),
    Breakage(tools.tiers, GATEWAY, "threshold_ms: 2000", "threshold_ms: 3000", "its config is not that of"),
    Breakage(tools.tiers, "collector/operator/agent.yaml", "memory: 256Mi", "memory: 512Mi", "its resources is not"),
    Breakage(tools.tiers, "collector/plain/services.yaml", "name: otel-agent-collector", "name: otel-agent", "another name"),
    Breakage(tools.tiers, AGENT, "routing_key: traceID", "routing_key: service", "not balanced by trace id"),
    Breakage(tools.tiers, "collector/plain/services.yaml", "clusterIP: None", "type: ClusterIP", "no headless Service"),
    Breakage(tools.tiers, AGENT, "ports: [4317]", "ports: [4316]", "other ports than"),
    Breakage(tools.policies, GATEWAY, "[ERROR]", "[UNSET]", "errors are not kept"),
    Breakage(tools.policies, GATEWAY, "threshold_ms: 2000", "threshold_ms: 3000", "another threshold"),
    Breakage(tools.policies, GATEWAY, "sampling_percentage: 1", "sampling_percentage: 5", "another share"),
    Breakage(tools.policies, GATEWAY, "tail_sampling, batch]", "batch, tail_sampling]", "before the sampler"),
    Breakage(tools.retention, "jaeger/production/retention.yaml", '"30"', '"7"', "after 7 days, not 30"),
    Breakage(tools.retention, "jaeger/production/query-config.yaml", "168h", "72h", "is searched for 72h"),
    Breakage(tools.retention, COLLECTOR, "index_prefix: eco2-failures", "index_prefix: failures", "different storages month"),
    Breakage(tools.retention, COLLECTOR, "{trace_storage: month}", "{trace_storage: year}", "an exporter names no storage"),
    Breakage(tools.retention, "jaeger/production/query-config.yaml", "traces_archive: month", "metrics: month", "both storages"),
    Breakage(tools.links, "kibana/saved-objects.ndjson", "trace/{{value}}", "search?id={{value}}", "trace.id opens"),
    Breakage(tools.links, "kiali/kiali.yaml", "https://jaeger.example.com", "https://traces.example.com", "external_url"),
    Breakage(tools.links, "kiali/kiali.yaml", ":16685", ":16686", "use_grpc"),
    Breakage(tools.links, "fluent-bit/fluent-bit.yaml", "logstash_prefix: eco2-logs", "logstash_prefix: logs", "the index"),
    Breakage(tools.links, "jaeger/ui/ui.json", "index:eco2-logs", "index:logs", "does not look for trace.id"),
    Breakage(tools.links, "grafana/datasources.yaml", "uid: eco2-prometheus", "uid: prometheus", "no data source"),
    Breakage(tools.dashboard, GATEWAY, "      - name: http.route\n", "", "makes no label http_route"),
    Breakage(tools.dashboard, "grafana/dashboard.json", "calls_total", "requests_total", "no connector makes"),
    Breakage(tools.readmes, "tempo/README.md", "## Remove", "## Deletion", "tempo: the README has no section"),
]
LIBRARY = [
    Breakage(library.settings, DEPLOYMENT, "OTEL_TRACES_SAMPLER_ARG", "OTEL_TRACE_SAMPLER_ARG", "OTEL_TRACE_SAMPLER_ARG"),
    Breakage(library.settings, DEPLOYMENT, "value: grpc", "value: http/protobuf", "4317"),
    Breakage(library.settings, "service/overlays/production/environment.yaml", '"0.01"', '"0.1"', "not 0.01"),
    Breakage(library.settings, "service/overlays/staging/environment.yaml", '"1.0"', '"0.5"', "keeps 0.5 of the errors"),
    Breakage(library.settings, DEPLOYMENT, "parentbased_traceidratio", "traceidratio", "its sampler is traceidratio"),
    Breakage(library.variables, DEPLOYMENT, "name: POD_UID", "name: POD_IDENTITY", "reads no POD_IDENTITY"),
    Breakage(library.probes, DEPLOYMENT, "path: /health", "path: /health-records", "which is traced"),
    Breakage(library.probes, DEPLOYMENT, "PeriodSeconds: 40", "PeriodSeconds: 25", "is killed after less"),
    Breakage(library.ports, SERVICES, "port: 4318,", "port: 4319,", "no port 4318, to which"),
    Breakage(
        library.ports,
        "service/components/remote-sampling/environment.yaml",
        ":5778/sampling",
        ":5778/strategies",
        "strategies are not at",
    ),
    Breakage(library.names, "grafana/traceql.md", "eco2.sampling.reason", "eco2.sampling.cause", "no attribute"),
    Breakage(library.names, COLLECTOR, "[error, slow, upstream]", "[error, slow]", "kept traces have"),
    Breakage(library.names, MESH, "trace.id:", "trace_id:", "the access log has no trace.id"),
    Breakage(library.names, MESH, "ecs.version: 8.11.0", "ecs.version: 1.6.0", "is not of ECS"),
    Breakage(library.names, MESH, "REQ(X-REQUEST-ID)", "REQ(X-CORRELATION-ID)", "is not x-request-id"),
]
BREAKAGES = [*PODS, *MESHES, *NETWORKS, *TOOLS, *LIBRARY]
CHECKS = [*pods.CHECKS, *mesh.CHECKS, *network.CHECKS, *tools.CHECKS, *library.CHECKS]
