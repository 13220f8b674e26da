"""Spans of our own: the lean server and client spans, and the manual ones."""
