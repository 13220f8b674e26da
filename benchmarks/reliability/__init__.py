"""The reliability scoreboard: `python -m benchmarks.reliability` from the top of a checkout."""
