"""Settings of the service, of its requests and of what is kept of them."""

from __future__ import annotations

from eco2_tracing._settings.reference.setting import OWN, Setting

_S = Setting
_HEADERS = "Regular expressions, separated by commas, select the {} headers that {} spans record."
_PATTERNS = "{} whose URL matches one of these regular expressions, separated by commas, has no {} span."

REQUESTS: dict[str, tuple[Setting, ...]] = {
    "Service and resource": (
        _S(
            "service_name",
            "The name of the service, as the back end lists it. It overrides `service.name` of "
            "`OTEL_RESOURCE_ATTRIBUTES` and the argument of `configure_tracing`.",
            "auth-api",
            default="`service.name`, else the argument, else `unknown_service:` and the executable",
        ),
        _S(
            "resource_attributes",
            "Attributes of every span: `key=value` pairs, separated by commas and percent-encoded. "
            "One broken pair makes the whole value unusable, as specified.",
            "service.version=1.2.0,deployment.environment.name=production",
        ),
    ),
    "Switches": (
        _S(
            "disabled",
            "`true` turns tracing off: no spans, threads or exporter. Trace headers are still propagated, and log "
            "lines carry the caller's trace id.",
            "true",
        ),
        _S(
            "strict",
            "`true` raises a `ConfigurationError` that lists every problem of the configuration, for CI and tests.",
            "true",
        ),
        _S(
            "log_level",
            "The least level of the library's own log lines: `debug`, `info`, `warning`, `error` or `critical`.",
            "debug",
            default="the level of the root logger",
        ),
        _S("id_generator", "The generator of trace ids and span ids; any installed one.", "random"),
        _S(
            "OTEL_ENABLED",
            "The older name of `OTEL_SDK_DISABLED`: `false` turns tracing off.",
            "false",
            origin=OWN,
        ),
    ),
    "Propagation": (
        _S(
            "propagators",
            "The formats of trace headers, in order of precedence: `b3`, `b3multi`, `tracecontext`, `baggage`, any "
            "installed propagator, or `none`.",
            "tracecontext,baggage,b3",
            specified="tracecontext,baggage",
        ),
        _S(
            "trust_inbound",
            "`false` begins a new trace for each inbound request: its trace id and sampling decision are ignored.",
            "false",
        ),
        _S(
            "propagation_targets",
            "Hosts that are internal beside loopback, private addresses, dotless names, `*.svc`, `*.svc.*` and "
            "`*.cluster.local`. Calls to internal hosts carry baggage and the request id too.",
            "*.example.com,payments.internal",
        ),
        _S(
            "propagate_externally",
            "`false` keeps the trace context out of calls to external hosts.",
            "false",
        ),
        _S(
            "response_header",
            "The name of a response header that carries the trace id.",
            "X-Trace-Id",
            default="off",
        ),
    ),
    "Sampling": (
        _S(
            "traces_sampler",
            "The head sampler: `always_on`, `always_off`, `traceidratio`, `rate_limiting` or `jaeger_remote`, each "
            "also as `parentbased_…`, or any installed sampler.",
            "parentbased_traceidratio",
        ),
        _S(
            "traces_sampler_arg",
            "The sampler's argument: a ratio from 0 to 1, a number of traces a second, or "
            "`endpoint=…,pollingIntervalMs=…,initialSamplingRate=…`.",
            "0.01",
            unit="ratio, or traces a second",
        ),
        _S(
            "error_sampling_rate",
            "The share of failed requests that is kept although the head sampler dropped them.",
            "0.5",
            unit="ratio",
        ),
        _S(
            "slow_threshold_ms",
            "Requests that take at least this long are kept although the head sampler dropped them.",
            "2000",
            unit="milliseconds",
            default="off",
        ),
        _S(
            "slow_thresholds_ms",
            "The same threshold for single routes: `/route=milliseconds`, separated by commas.",
            "/reports/{id}=10000,/login=500",
            unit="milliseconds",
        ),
        _S(
            "max_kept_traces_per_second",
            "The maximum number of failed or slow traces that one process keeps in a second.",
            "50",
            unit="traces a second",
        ),
        _S(
            "workers",
            "The number of processes that share a rate of `rate_limiting` or `jaeger_remote`.",
            "4",
            unit="processes",
            default="`WEB_CONCURRENCY`, else `1`",
        ),
        _S(
            "WEB_CONCURRENCY",
            "The number of workers, where `ECO2_TRACING_WORKERS` is not set.",
            "4",
            unit="processes",
            origin="uvicorn, gunicorn",
        ),
        _S(
            "OTEL_SAMPLING_RATE",
            "The older name of `OTEL_TRACES_SAMPLER=parentbased_traceidratio` with this `OTEL_TRACES_SAMPLER_ARG`.",
            "0.01",
            unit="ratio",
            origin=OWN,
        ),
    ),
    "Instrumentation": (
        _S(
            "excluded_paths",
            "Paths without spans. An entry without a slash is that path and the paths below it, also behind `/api`, a "
            "version segment and the root path. An entry with a slash is a prefix. `,` excludes nothing.",
            "health,metrics,/internal",
            default="`health,healthz,ready,readyz,livez,metrics`",
        ),
        _S(
            "excluded_urls",
            _PATTERNS.format("A request", "server") + " A bare word is a path.",
            "/private/.*",
        ),
        _S("httpx_excluded_urls", _PATTERNS.format("An httpx call", "client"), "telemetry.example"),
        _S(
            "OTEL_PYTHON_EXCLUDED_URLS",
            "The same for requests and for httpx calls, where the two variables above are not set.",
            "/private/.*",
        ),
        _S("http_capture_headers_server_request", _HEADERS.format("request", "server"), "x-tenant,cf-.*"),
        _S("http_capture_headers_server_response", _HEADERS.format("response", "server"), "x-cache"),
        _S("http_capture_headers_client_request", _HEADERS.format("request", "client"), "x-tenant"),
        _S("http_capture_headers_client_response", _HEADERS.format("response", "client"), "retry-after"),
        _S(
            "http_capture_headers_sanitize_fields",
            "Regular expressions, separated by commas, select the recorded headers whose values are masked.",
            ".*session.*",
        ),
        _S(
            "capture",
            "Counts that spans record beside the default attributes: `sizes` (bodies of HTTP requests, responses and "
            "messages), `rows` (rows that queries return). A list is allowed.",
            "sizes,rows",
        ),
        _S("instrumentation", "The instrumentation of FastAPI and httpx: `lean` or `contrib`.", "contrib"),
        _S("instrumentations", "Libraries that are traced beside the tested ones.", "sqlite3,jinja2"),
        _S("disabled_instrumentations", "Libraries that are not traced.", "redis,sqlalchemy"),
        _S(
            "OTEL_PYTHON_GRPC_EXCLUDED_SERVICES",
            "gRPC services, separated by commas, whose calls have no span.",
            "grpc.health.v1.Health",
        ),
    ),
    "Redaction": (
        _S(
            "redact_keys",
            "Names of attributes, parameters and log fields whose values are masked beside the built-in ones.",
            "iban,passport",
        ),
        _S(
            "redact_numbers",
            "Kinds of numbers that are masked in texts: `card` (payment cards), `resident` (Korean resident "
            "registration).",
            "card,resident",
        ),
    ),
}
