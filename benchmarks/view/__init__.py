"""What `eco2-tracing view` takes of a machine."""
