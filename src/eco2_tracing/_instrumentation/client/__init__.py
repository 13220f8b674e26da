"""Instrumentation of outgoing calls of httpx and httpx2."""
