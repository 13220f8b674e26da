"""Settings of the export, of limits, and of what is printed."""

from __future__ import annotations

from eco2_tracing._settings.reference.setting import OWN, Setting

_S = Setting
_SAME = "The attribute limit of {}, where it differs from `OTEL_ATTRIBUTE_COUNT_LIMIT`."
_POD = {
    "K8S_POD_NAME": ("k8s.pod.name", "metadata.name"),
    "K8S_POD_UID": ("k8s.pod.uid", "metadata.uid"),
    "K8S_POD_IP": ("k8s.pod.ip", "status.podIP"),
    "K8S_NAMESPACE_NAME": ("k8s.namespace.name", "metadata.namespace"),
    "K8S_NODE_NAME": ("k8s.node.name", "spec.nodeName"),
}
_PROVIDER = (
    "OpenTelemetry's API loads the provider of this name. A name that no installed package has is removed from the "
    "process's environment, and reported."
)

EXPORT: dict[str, tuple[Setting, ...]] = {
    "Export": (
        _S(
            "traces_exporter",
            "Where spans go: `otlp`, `waterfall`, `console`, any installed exporter, or `none`. A list is allowed.",
            "waterfall",
        ),
        _S(
            "exporter_otlp_endpoint",
            "The address of the collector. With `http/protobuf`, `/v1/traces` is appended to the general form; the "
            "`_TRACES_` form is used as it is.",
            "http://otel-collector.observability.svc:4317",
            default="`localhost:4317`, with `http/protobuf` `http://localhost:4318/v1/traces`",
        ),
        _S(
            "exporter_otlp_protocol",
            "The protocol of the collector: `grpc` or `http/protobuf`.",
            "http/protobuf",
            specified="http/protobuf",
        ),
        _S(
            "exporter_otlp_insecure",
            "`true` connects without TLS where the endpoint has no scheme, `false` with TLS.",
            "true",
            default="no TLS for internal hosts without OTLP headers or certificates, TLS for all others",
            specified="false",
        ),
        _S(
            "exporter_otlp_headers",
            "Headers of each export request: `name=value`, separated by commas and percent-encoded. Values are masked "
            "wherever settings are shown.",
            "api-key=s3cret",
        ),
        _S(
            "exporter_otlp_timeout",
            "The time limit of one export, retries included; `0` is no limit.",
            "5000",
            unit="milliseconds",
        ),
        _S("exporter_otlp_compression", "The compression of each export request: `none` or `gzip`.", "gzip"),
        _S(
            "exporter_otlp_certificate",
            "The file of the certificate authorities that the collector's certificate is checked against (PEM).",
            "/etc/otel/ca.pem",
            default="the system's authorities",
        ),
        _S(
            "exporter_otlp_client_certificate",
            "The file of the client's certificate (PEM).",
            "/etc/otel/client.pem",
        ),
        _S("exporter_otlp_client_key", "The file of the client's key (PEM).", "/etc/otel/client.key"),
        _S(
            "bsp_schedule_delay",
            "The time between two exports.",
            "5000",
            unit="milliseconds",
            specified="5000",
        ),
        _S(
            "bsp_max_queue_size",
            "The maximum number of spans that wait for their export.",
            "8192",
            unit="spans",
        ),
        _S(
            "bsp_max_export_batch_size",
            "The maximum number of spans in one export, at most the size of the queue.",
            "256",
            unit="spans",
        ),
        _S(
            "bsp_export_timeout",
            "The time after which a batch may be dropped; `0` is no limit.",
            "10000",
            unit="milliseconds",
        ),
        _S(
            "HTTPS_PROXY",
            "The proxy to the collector. `grpc_proxy`, `http_proxy` and `all_proxy` are read too, in either case, as "
            "gRPC and `urllib` read them.",
            "http://proxy.example:3128",
            origin="curl, gRPC",
        ),
        _S(
            "NO_PROXY",
            "Hosts, domains and address ranges that need no proxy. `no_grpc_proxy` precedes it for gRPC.",
            "otel-collector,10.0.0.0/8",
            origin="curl, gRPC",
        ),
    ),
    "Limits": (
        _S(
            "attribute_count_limit",
            "The maximum number of attributes of a span, event or link, where the variables below are not set.",
            "64",
            unit="attributes",
        ),
        _S(
            "attribute_value_length_limit",
            "The maximum length of an attribute's value; longer text is truncated.",
            "4096",
            unit="characters",
            default="none",
        ),
        _S("span_attribute_count_limit", _SAME.format("spans"), "64", unit="attributes"),
        _S(
            "span_attribute_value_length_limit",
            "The length limit of the attributes of spans, where it differs from `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT`.",
            "4096",
            unit="characters",
            default="none",
        ),
        _S("span_event_count_limit", "The maximum number of events of a span.", "32", unit="events"),
        _S("span_link_count_limit", "The maximum number of links of a span.", "32", unit="links"),
        _S("event_attribute_count_limit", _SAME.format("events"), "32", unit="attributes"),
        _S("link_attribute_count_limit", _SAME.format("links"), "32", unit="attributes"),
    ),
    "Logs and terminal": (
        _S(
            "log_format",
            "The lines of `configure_logging`: `json`, `text`, or `auto`, which is text on a terminal.",
            "auto",
            default="the argument `format`, else `json`",
        ),
        _S(
            "waterfall",
            "What the exporter `waterfall` prints: `errors` (what failed or was slow), `all`, or `tree` (a tree of "
            "each trace).",
            "errors",
        ),
        _S(
            "trace_url",
            "The address of a trace in a viewer, to which the exporter `waterfall` links. `{trace_id}` is replaced; "
            "without it, `/trace/{trace_id}` is appended.",
            "http://localhost:16686",
        ),
        _S("NO_COLOR", "Any value turns colours and links off.", "1", origin="no-color.org"),
        _S("FORCE_COLOR", "Any value but `0` and `false` turns colours on.", "1", origin="force-color.org"),
        _S("COLUMNS", "The width of the printed lines.", "120", unit="characters", origin="POSIX"),
    ),
    "Kubernetes": (
        *(
            _S(name, f"The attribute `{attribute}`, from `{path}` of the downward API.", origin=OWN)
            for name, (attribute, path) in _POD.items()
        ),
        _S("K8S_CONTAINER_NAME", "The attribute `k8s.container.name`.", "auth-api", origin=OWN),
        _S("K8S_DEPLOYMENT_NAME", "The attribute `k8s.deployment.name`.", "auth-api", origin=OWN),
        _S("K8S_CLUSTER_NAME", "The attribute `k8s.cluster.name`.", "seoul-1", origin=OWN),
    ),
    "Fields that no variable sets": (
        _S("service_version", "The version of the service: `service.version` of `OTEL_RESOURCE_ATTRIBUTES`."),
        _S(
            "environment",
            "The environment of the service: `deployment.environment.name`, else `deployment.environment`, of "
            "`OTEL_RESOURCE_ATTRIBUTES`.",
        ),
        _S("otlp", "The destination of spans that the OTLP settings resolve to."),
        _S("otlp_metrics", "The destination of metrics that the OTLP settings resolve to."),
        _S("otlp_logs", "The destination of log records that the OTLP settings resolve to."),
        _S(
            "error_sampling_rate_is_set",
            "Whether a usable error rate is set; it then applies to `always_off` too.",
        ),
        _S("problems", "What is wrong or doubtful in the configuration, in the order of the settings."),
    ),
    "Not supported": (
        _S("OTEL_CONFIG_FILE", "Declarative configuration is not read, and a warning says so."),
        _S("OTEL_SEMCONV_STABILITY_OPT_IN", "The stable conventions are always used, and a warning says so."),
        _S("OTEL_PYTHON_TRACER_PROVIDER", _PROVIDER),
        _S("OTEL_PYTHON_METER_PROVIDER", _PROVIDER),
        _S("OTEL_PYTHON_LOGGER_PROVIDER", _PROVIDER),
    ),
}
