"""Encodes spans as OTLP requests."""
