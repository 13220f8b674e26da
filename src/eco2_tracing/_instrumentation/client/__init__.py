"""Calls of httpx and httpx2."""
