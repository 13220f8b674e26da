"""Spans encoded as OTLP requests."""
