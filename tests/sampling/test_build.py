"""From ``OTEL_TRACES_SAMPLER`` to a sampler: names, arguments, words, and what goes wrong."""

from __future__ import annotations

import importlib.metadata
import logging

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision, Sampler, SamplingResult

from eco2_tracing.sampling import (
    UNKNOWN,
    AlwaysOff,
    AlwaysOn,
    CustomSampler,
    JaegerRemote,
    RateLimiting,
    TraceIdRatio,
    build_sampler,
)


@pytest.mark.parametrize(
    ("name", "arg", "kind", "words"),
    [
        ("always_on", None, AlwaysOn, "all (always_on)"),
        ("always_off", None, AlwaysOff, "none (always_off)"),
        ("traceidratio", "0.01", TraceIdRatio, "1 % (traceidratio)"),
        ("rate_limiting", "20", RateLimiting, "20 traces a second (rate_limiting)"),
        (
            "jaeger_remote",
            "endpoint=http://jaeger:5778,initialSamplingRate=0.25",
            JaegerRemote,
            "as http://jaeger:5778/sampling says, 25 % until it answers (jaeger_remote)",
        ),
    ],
)
def test_every_name_in_both_forms(name, arg, kind, words):
    """The parent-based form follows the caller; the bare one does not, and advises against itself."""
    parent_based = build_sampler(f"parentbased_{name}", arg)
    bare = build_sampler(name.upper(), arg)
    assert isinstance(parent_based.root, kind)
    assert isinstance(bare.root, kind)
    assert (parent_based.parent_based, bare.parent_based) == (True, False)
    assert parent_based.name == f"parentbased_{name}"
    assert parent_based.description == f"as the caller decided, else {words}"
    assert bare.description == f"{words}, whatever the caller decided"
    assert parent_based.problems == bare.problems == parent_based.advice == ()
    assert f"parentbased_{name} honours it" in " ".join(bare.advice)
    assert not bare.needs_attributes
    parent_based.close()
    bare.close()


@pytest.mark.parametrize("name", ["", "  ", "ParentBased_Always_On"])
def test_the_default_keeps_what_the_mesh_does_not_decide(name):
    """Unset, and in any case, it is ``parentbased_always_on``."""
    built = build_sampler(name)
    assert isinstance(built.root, AlwaysOn)
    assert built.parent_based
    assert built.problems == built.advice == ()


def test_an_unset_ratio_is_one():
    """As specified, without a problem."""
    built = build_sampler("parentbased_traceidratio", " ")
    assert built.root.probability("") == 1.0
    assert built.problems == ()


@pytest.mark.parametrize(
    ("name", "arg", "used", "problem"),
    [
        (
            "parentbased_traceidratio",
            "1.5",
            0.015,
            "not a number from 0 to 1, 0.015 was probably meant: 0.015 is",
        ),
        ("parentbased_traceidratio", "1%", 0.01, "0.01 was probably meant: 0.01 is used"),
        ("parentbased_traceidratio", "nan", 0.01, "'nan' is not a number from 0 to 1: 0.01 is used"),
        ("parentbased_traceidratio", "ten", 0.01, "'ten' is not"),
        ("parentbased_rate_limiting", "0", ("ratelimiting", 1.0), "'0' is not a number of traces"),
        ("parentbased_rate_limiting", "inf", ("ratelimiting", 1.0), "'inf' is not"),
        ("parentbased_rate_limiting", "10/s", ("ratelimiting", 10.0), "10 was probably meant: 10 is used"),
        ("parentbased_rate_limiting", "600/min", ("ratelimiting", 10.0), "10 was probably meant: 10 is used"),
        ("parentbased_rate_limiting", None, ("ratelimiting", 100.0), "is not set"),
        ("always_sometimes", None, 1.0, "'always_sometimes' is neither built in nor installed"),
    ],
)
def test_a_bad_value_is_told_and_replaced(name, arg, used, problem):
    """One sentence says what was found and what is used; nothing raises."""
    built = build_sampler(name, arg)
    assert used in (built.root.probability(""), built.root.jaeger_tags())
    assert len(built.problems) == 1
    assert built.problems[0].startswith("OTEL_TRACES_SAMPLER")
    assert problem in built.problems[0]


def test_the_arguments_of_jaeger_remote_in_any_order_and_case():
    """Valid parts are used; every other part is reported by name."""
    built = build_sampler(
        "parentbased_jaeger_remote",
        "InitialSamplingRate=0.5, pollingIntervalMs=0,endpoint=ftp://x,retries=3,,endpoint=",
        service_name="shop",
    )
    told = "\n".join(built.problems)
    assert built.root.probability("GET") == 0.5
    assert "http://localhost:5778/sampling says, 50 %" in built.description
    assert "pollingIntervalMs='0' is not a number from 1 to 8.64e+07: 60000 is used" in told
    assert "'ftp://x' is no http, https or grpc URL: http://localhost:5778/sampling is used" in told
    assert "'retries=3' is none of" in told
    assert "'endpoint=' is none of" in told
    assert len(built.problems) == 4


def test_the_arguments_of_jaeger_remote_with_units():
    """A percentage and a duration with a unit are read as what was probably meant, and reported."""
    built = build_sampler(
        "parentbased_jaeger_remote", "pollingIntervalMs=5s,initialSamplingRate=1%", service_name="shop"
    )
    assert built.root.probability("GET") == 0.01
    assert len(built.problems) == 2
    assert "5000 was probably meant: 5000 is used" in built.problems[0]
    assert "0.01 was probably meant: 0.01 is used" in built.problems[1]
    built.close()


def test_jaeger_remote_without_an_argument():
    """The defaults: the local server, one in a thousand until it answers."""
    built = build_sampler("parentbased_jaeger_remote", None)
    assert built.root.probability("GET") == 0.001
    assert built.problems == ()


def test_a_rate_is_shared_by_the_workers():
    """Each process limits to its part; the words and Jaeger's tags name the whole."""
    built = build_sampler("parentbased_rate_limiting", "20", workers=4)
    assert "20 traces a second over 4 processes" in built.description
    assert built.root.get_description() == "RateLimiting{20/s, here 5/s}"
    assert built.root.jaeger_tags() == ("ratelimiting", 20.0)


class Picky(Sampler):
    """Chooses spans of one route; fails for one."""

    def __init__(self, arg):
        self.arg = arg
        self.closed = False

    def should_sample(
        self, parent_context, trace_id, name, kind=None, attributes=None, links=None, trace_state=None
    ):
        if name == "boom":
            raise RuntimeError("boom")
        chosen = (attributes or {}).get("http.route") == self.arg or name == "chosen"
        return SamplingResult(Decision.RECORD_AND_SAMPLE if chosen else Decision.DROP)

    def get_description(self):
        return f"Picky{{{self.arg}}}"

    def close(self):
        self.closed = True


class Broken(Picky):
    """Fails wherever it can."""

    def get_description(self):
        raise RuntimeError("no words")

    def close(self):
        raise RuntimeError("stuck")


def not_a_sampler(arg):
    """A factory that makes something else."""
    return "sampler"


def failing(arg):
    """A factory that fails."""
    raise OSError("no network")


def own(arg):
    """A factory that makes a sampler of this library."""
    return TraceIdRatio(0.5)


def sdk_sampler(arg):
    """A factory that makes one of the SDK's own samplers, without a method to close it."""
    return ALWAYS_ON


@pytest.fixture
def installed(monkeypatch):
    """Entry points of the group that the specification's SDKs read."""
    entries = [
        importlib.metadata.EntryPoint(name, f"{__name__}:{factory.__name__}", "opentelemetry_traces_sampler")
        for name, factory in {
            "picky": Picky,
            "Broken": Broken,
            "odd": not_a_sampler,
            "failing": failing,
            "own": own,
            "sdk": sdk_sampler,
        }.items()
    ]
    found = {f"{__name__}:{f.__name__}": f for f in (Picky, Broken, not_a_sampler, failing, own, sdk_sampler)}
    monkeypatch.setattr(importlib.metadata.EntryPoint, "load", lambda self: found[self.value])
    monkeypatch.setattr("eco2_tracing.sampling._build.entry_points", lambda group: entries)


def test_an_installed_sampler_decides_with_real_attributes(installed):
    """It is called as the SDK calls it, and its probability is unknown."""
    built = build_sampler("picky", "/pay")
    assert built.needs_attributes
    assert not built.parent_based
    assert built.description == "every request: the installed sampler picky"
    assert built.problems == built.advice == ()
    decide = built.root.should_sample
    assert decide(None, 1, "GET", None, {"http.route": "/pay"}).decision is Decision.RECORD_AND_SAMPLE
    assert decide(None, 1, "GET", None, {"http.route": "/"}).decision is Decision.DROP
    assert built.root.sample(1, "chosen") == UNKNOWN
    assert built.root.decide(1, "chosen")
    assert not built.root.decide(1, "GET")
    assert built.root.probability("GET") is None
    assert built.root.jaeger_tags() is None
    assert built.root.get_description() == "Picky{/pay}"
    inner = built.root._inner
    built.close()
    assert inner.closed


def test_a_failing_installed_sampler_never_breaks_the_host(installed, caplog):
    """Its exceptions are logged once each; the trace is not chosen, its tracestate stays."""
    built = build_sampler("broken", None)
    state = trace.TraceState([("vendor", "1")])
    parent = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=True, trace_state=state))
    for _ in range(2):
        result = built.root.should_sample(trace.set_span_in_context(parent), 1, "boom")
        assert result.decision is Decision.DROP
        assert result.trace_state == state
        assert built.root.get_description() == "Broken"
        built.close()
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 3


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("odd", "TypeError: the entry point made str, not a Sampler"),
        ("failing", "OSError: no network"),
    ],
)
def test_an_installed_sampler_that_cannot_be_made(installed, name, problem):
    """The default is used, and the reason is reported."""
    built = build_sampler(name)
    assert built.name == "parentbased_always_on"
    assert built.parent_based
    assert problem in built.problems[0]


def test_samplers_that_need_no_guard(installed):
    """One of our own is used as it is; one that cannot be closed is left alone."""
    assert isinstance(build_sampler("own").root, TraceIdRatio)
    built = build_sampler("sdk")
    assert isinstance(built.root, CustomSampler)
    built.close()
