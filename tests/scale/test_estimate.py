"""The estimate of `examples/scale`: the documentation's output, and its measured inputs."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from importlib import import_module

import pytest

from tests.repository.sources import ROOT

FOLDER = ROOT / "examples" / "scale"
PAGE = ROOT / "docs" / "scale.md"


@pytest.fixture
def model(monkeypatch):
    """The module of the model."""
    monkeypatch.syspath_prepend(FOLDER)
    yield import_module("model")
    del sys.modules["model"]


def run(*arguments):
    """The output of the script."""
    command = (sys.executable, str(FOLDER / "estimate.py"), *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_page_shows_the_output():
    """The command of the page prints what the page shows."""
    page = PAGE.read_text()
    ((command, shown),) = re.findall(
        r"\$ python examples/scale/estimate\.py ([^\n]+)\n```\n\n```text\n(.*?)```", page, re.DOTALL
    )
    assert run(*command.split()) == shown


def test_each_option_matters(model):
    """Ten times the value of any input changes the output, so none is without effect."""
    estimate = import_module("estimate")
    del sys.modules["estimate"]
    usual = estimate.report(model.Inputs(requests=500))
    for one in fields(model.Inputs):
        changed = {"requests": 500, one.name: 10 * one.default if one.name != "requests" else 1000}
        assert estimate.report(model.Inputs(**changed)) != usual, one.name


def test_counts_of_a_known_cluster(model):
    """With one service, no inner spans and no failures, the rates are those of the percentages."""
    inputs = model.Inputs(services_per_request=1, inner_spans=0, failing=0, slow=0, rps=1000, requests=100)
    requests = model.simulate(inputs)
    assert {(one.services, one.proxies) for one in requests} == {(1, 3)}
    made = model.flows(inputs, requests)
    assert (made["gateway"].exported, made["gateway"].stored) == pytest.approx((40, 40))
    assert (made["collector"].exported, made["collector"].stored) == pytest.approx((4000, 40))


def test_failures_are_kept(model):
    """The failing service and its callers keep their spans; the collector keeps the whole trace."""
    inputs = model.Inputs(services_per_request=1, inner_spans=0, failing=1, rps=1000, requests=100)
    made = model.flows(inputs, model.simulate(inputs))
    assert (made["gateway"].services, made["gateway"].proxies) == pytest.approx((1000, 30))
    assert made["collector"].stored == made["collector"].stored_errors == pytest.approx(4000)
    for one in model.simulate(model.Inputs(requests=200)):
        assert 1 <= one.kept_traces <= one.kept <= one.services


def test_size_of_spans_is_measured(model):
    """The encoder's spans have the size that the estimate takes, within a tenth."""
    command = (sys.executable, str(FOLDER / "measure.py"), "sizes")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    measured = float(re.search(r"^(\d+) bytes a span$", done.stdout, re.MULTILINE)[1])
    assert measured == pytest.approx(model.Inputs().service_span_bytes, rel=0.1)
