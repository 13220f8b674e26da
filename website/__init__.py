"""Generates parts of the documentation's site. `mkdocs.yml` is its configuration."""
