"""Uses OpenTelemetry's FastAPI and httpx packages, for ``ECO2_TRACING_INSTRUMENTATION=contrib``."""
