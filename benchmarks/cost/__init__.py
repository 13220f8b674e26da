"""What tracing costs: this library, the untraced application and other tracers, in one run."""
