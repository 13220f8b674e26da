"""OpenTelemetry's packages speak the stable conventions, and the environment stays as it is."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import types

from eco2_tracing._compat.contrib import _choose, stable_semconv


def run(script):
    """What a fresh process prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


CHECK = """
    from opentelemetry.instrumentation._semconv import _get_semconv_opt_in_modes as modes
    from opentelemetry.instrumentation._semconv import _OpenTelemetryStabilitySignalType as signal
    found = modes((signal.HTTP, signal.DATABASE))
    print(found[signal.HTTP].value, found[signal.DATABASE].value)
    import os
    print("OTEL_SEMCONV_STABILITY_OPT_IN" in os.environ)
"""
CHOOSE = """
    from eco2_tracing._compat.contrib import stable_semconv
    stable_semconv()
"""


def test_chosen_before_the_first_instrumentation():
    """Whoever asks gets the stable ones; no variable is left behind."""
    assert run(CHOOSE + CHECK) == ["http", "database", "False"]


def test_chosen_after_it():
    """An instrumentation that was switched on before has had its own; the next ones get the stable ones."""
    assert run(CHECK + CHOOSE + CHECK) == ["default", "default", "False", "http", "database", "False"]


def test_parts_that_have_moved(caplog):
    """A version whose private parts differ is one warning, and nothing is raised."""
    stable_semconv()
    _choose(types.ModuleType("different"))
    _choose(types.ModuleType("different"))
    assert len([r for r in caplog.records if r.name == "eco2_tracing"]) == 1
