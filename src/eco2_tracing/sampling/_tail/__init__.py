"""Tail sampling: local traces that are buffered until it is known whether they failed."""
