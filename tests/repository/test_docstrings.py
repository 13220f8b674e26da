"""Docstrings of public names: their examples run, and their arguments are those of the signature."""

from __future__ import annotations

import doctest
import importlib
import inspect
import os
import re
import subprocess
import sys

import pytest

import eco2_tracing
import eco2_tracing.logs
from tests.repository.sources import ROOT
from tests.repository.test_public import PUBLIC

# What the examples use beside the names of their own module.
NAMES = """
import json, logging
import structlog
from fastapi import FastAPI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased
from eco2_tracing import *
"""
SECTION = re.compile(r"^(Args|Attributes):\n((?: .*\n|\n)+)", re.MULTILINE)
ARGUMENT = re.compile(r"^ {4}\*{0,2}(\w+): ", re.MULTILINE)


def things(module: str) -> list[tuple[str, object]]:
    """The public functions and classes of a module."""
    found = importlib.import_module(module)
    named = [(name, getattr(found, name)) for name in found.__all__]
    return [(name, thing) for name, thing in named if inspect.isroutine(thing) or inspect.isclass(thing)]


def run_examples(module: str) -> None:
    """Run the examples of a module, each with names of its own; print failures, then how many examples there are."""
    runner = doctest.DocTestRunner()
    for name, thing in things(module):
        names: dict[str, object] = {}
        exec(f"{NAMES}from {module} import *", names)
        test = doctest.DocTestParser().get_doctest(inspect.getdoc(thing) or "", names, name, None, 0)
        runner.run(test)
        eco2_tracing.shutdown_tracing(0)
        eco2_tracing.logs.reset_logging()
    print(runner.summarize(verbose=False), file=sys.__stdout__)


def described(thing: object) -> set[str]:
    """The arguments and attributes that a docstring describes."""
    sections = SECTION.findall(f"{inspect.getdoc(thing)}\n")
    return {name for _, text in sections for name in ARGUMENT.findall(text)}


@pytest.mark.parametrize("module", PUBLIC)
def test_examples_run(module):
    """In a process of their own, which exports nothing; each module has some."""
    pytest.importorskip("structlog")
    program = f"from tests.repository.test_docstrings import run_examples\nrun_examples({module!r})"
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "ECO2_"))}
    environ |= {"OTEL_TRACES_EXPORTER": "none", "OTEL_LOG_LEVEL": "warning"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    result = re.search(r"TestResults\(failed=0, attempted=(\d+)\)\n\Z", done.stdout)
    assert result, done.stdout + done.stderr
    assert int(result[1]) > 0


@pytest.mark.parametrize("module", PUBLIC)
def test_each_argument_is_described(module):
    """A docstring has a line for each argument of a function and of a class's constructor."""
    missing = {
        name: sorted(left)
        for name, thing in things(module)
        if name not in INHERITED and (left := set(inspect.signature(thing).parameters) - described(thing))
    }
    assert missing == {}


INHERITED = {"TracingSettings"}
"""The arguments of `TracingSettings` are described field by field."""


@pytest.mark.parametrize(
    "name", ["configure_tracing", "instrument_app", "configure_logging", "span", "traced"]
)
def test_help_suffices_to_start(name):
    """The docstring of what a service calls has an example, and says what is returned or raised where that matters."""
    text = inspect.getdoc(getattr(eco2_tracing, name))
    assert "Examples:\n" in text
    assert ">>> " in text


def test_an_argument_that_is_not_described_is_noticed():
    """A line further to the right is no argument; stars do not belong to a name."""
    text = "Do it.\n\nArgs:\n    first: One.\n        second: not an argument.\n    **third: Three.\n"
    assert described(type("Thing", (), {"__doc__": text})) == {"first", "third"}
