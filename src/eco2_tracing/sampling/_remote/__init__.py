"""Sampling strategies from a Jaeger server."""
