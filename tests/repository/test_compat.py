"""Private names of other packages: what happens when each of them is gone."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import pytest
from opentelemetry import trace

from eco2_tracing._compat import api, contrib, sdk
from tests.repository.measures import private_names
from tests.repository.sources import library


def test_an_api_without_its_global_provider(monkeypatch):
    """No provider is found, and none is taken away."""
    monkeypatch.delattr(trace, "_TRACER_PROVIDER")
    assert api.global_provider() is None
    monkeypatch.delattr(trace, "_TRACER_PROVIDER_SET_ONCE")
    with pytest.raises(AttributeError):
        api.forget_global_provider()


def test_an_api_without_its_context_manager(monkeypatch):
    """The standard library's decorates plain functions."""
    monkeypatch.setattr(import_module("opentelemetry.util._decorator"), "_agnosticcontextmanager", None)
    monkeypatch.delattr("opentelemetry.util._decorator._agnosticcontextmanager")

    @api._span_block()
    def block():
        yield 1

    with block() as value:
        assert value == 1


def test_instrumentations_without_their_choice_of_conventions(caplog):
    """They keep their default, and one line is logged."""
    contrib._choose(ModuleType("opentelemetry.instrumentation._semconv"))
    assert "choosing the stable semantic conventions" in caplog.text


def test_an_sdk_without_a_fork_hook():
    """The method that replaces it is not called by anything else."""

    class Provider(sdk.WithoutForkHook):
        pass

    assert Provider()._handle_fork() is None


def test_the_reader_of_private_names():
    """It finds names of other packages in today's modules, and none that the library defines."""
    found = private_names(library())
    assert "_TRACER_PROVIDER_SET_ONCE" in found
    assert "_given_name" not in found
