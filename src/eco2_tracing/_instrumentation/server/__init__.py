"""Instrumentation of the requests and WebSocket connections that a FastAPI application serves."""
