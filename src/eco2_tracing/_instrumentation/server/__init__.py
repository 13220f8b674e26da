"""Requests and WebSocket connections that a FastAPI application serves."""
