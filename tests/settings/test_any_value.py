"""Any environment gives settings: no value raises."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from eco2_tracing._resource import build_resource
from eco2_tracing._settings import Problem, TracingSettings
from eco2_tracing._settings.fields import KEYWORDS, VARIABLES

NAMES = sorted(VARIABLES - {"ECO2_TRACING_STRICT"})
WORDS = (
    "= , :// http https unix: @ [ ] : / % %ff ( * 0 9 - . e true none b3 é collector 4317 /v1/traces { } ٣"
)
FRAGMENTS = st.sampled_from([*WORDS.split(), "\\", " ", "\n", "\x00", "\udcff"])
TEXTS = st.one_of(
    st.lists(FRAGMENTS, max_size=8).map("".join),
    st.text(st.characters(), max_size=40),
    st.integers().map(str),
    st.floats().map(str),
)
OTHER_NAMES = st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ_2 \n\udcff", max_size=20).map("OTEL_{}".format)
ENVIRONMENTS = st.dictionaries(st.sampled_from(NAMES) | OTHER_NAMES, TEXTS, max_size=8)


@given(ENVIRONMENTS)
@example({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://[::1"})
@example({"OTEL_SERVICE_NAME": "\udcff"})
@example({"OTEL_EXPORTER_OTLP_ENDPOINT": "//\ufe0f℀:1"})
@example({"OTEL_PYTHON_EXCLUDED_URLS": "(" * 5000})
@example({"OTEL_PYTHON_EXCLUDED_URLS": "[["})
@example({"OTEL_EXPORTER_OTLP_CERTIFICATE": "\0"})
@example({"OTEL_SERVICE\n_NAME": "x", "OTEL_SERVICE_NAME\udcff": "\udcff"})
@example({"OTEL_SAMPLING_RATE": "0", "OTEL_TRACES_SAMPLER_ARG": "0\r0"})
def test_any_environment_makes_settings(environ):
    """Any environment gives settings and a resource; each problem is one line that names its variable."""
    settings = TracingSettings(_environ=environ)
    assert all(isinstance(problem, Problem) for problem in settings.problems)
    for problem in settings.problems:
        assert len(problem.message.splitlines()) == 1
        assert problem.variable in problem.message
        problem.message.encode()
    assert settings.otlp.endpoint
    assert build_resource(settings, environ=environ, proc=Path(os.devnull)).attributes["service.name"]


@given(
    st.dictionaries(
        st.sampled_from(sorted(set(KEYWORDS) - {"strict", "eco2_tracing_strict"})), TEXTS, max_size=5
    )
)
def test_any_keyword_makes_settings(keywords):
    """Arguments in code are read by the same rules."""
    assert isinstance(TracingSettings(_environ={}, **keywords).problems, tuple)


@given(TEXTS, st.sampled_from(["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"]))
def test_no_header_value_is_shown(text, variable):
    """Header values are neither in repr nor in a warning, however they are written."""
    secret = "geheim"
    settings = TracingSettings(_environ={variable: f"{text}{secret},key={secret}"})
    assert secret not in repr(settings)
    for problem in settings.problems:
        assert problem.variable != variable or f"{secret}," not in problem.message
    assert settings.otlp.headers["key"] == secret
