"""Metrics and logs over OTLP."""
