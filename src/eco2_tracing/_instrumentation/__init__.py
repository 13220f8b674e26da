"""Instrumentations of FastAPI, httpx and other libraries."""
