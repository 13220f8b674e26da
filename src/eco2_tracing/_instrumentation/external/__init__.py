"""Requests and calls under a tracer provider of another package."""
