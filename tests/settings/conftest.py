"""Ways to read settings from an environment of the test's own."""

from __future__ import annotations

import pytest

from eco2_tracing._settings import TracingSettings


@pytest.fixture
def read():
    """Read settings from variables alone."""

    def read_from(**variables: str) -> TracingSettings:
        return TracingSettings(_environ=variables)

    return read_from


@pytest.fixture
def only_problem(read):
    """Read settings that have exactly one problem, and return both."""

    def read_from(**variables: str):
        settings = read(**variables)
        (problem,) = settings.problems
        return settings, problem

    return read_from
