"""Traces requests and calls under an external provider, a tracer provider of another package."""
