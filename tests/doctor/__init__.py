"""Tests of `eco2-tracing doctor`."""
