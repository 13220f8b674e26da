"""Tests of the repository itself: layers, names, style, documents, distribution."""
