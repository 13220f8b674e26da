"""Tracing for FastAPI services behind an Istio/Envoy mesh."""
