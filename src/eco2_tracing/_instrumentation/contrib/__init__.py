"""OpenTelemetry's own FastAPI and httpx packages, for ``ECO2_TRACING_INSTRUMENTATION=contrib``."""
