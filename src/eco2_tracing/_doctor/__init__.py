"""The checks of `eco2-tracing doctor`."""
