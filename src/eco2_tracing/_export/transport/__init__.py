"""OTLP requests sent over gRPC or HTTP."""
