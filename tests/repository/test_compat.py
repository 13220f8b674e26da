"""Private names of other packages: the behaviour without each of them."""

from __future__ import annotations

import logging
import sys
import threading
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import pytest
from opentelemetry import trace

from eco2_tracing._compat import aio_pika, api, contrib, imports, pika, sdk, sqlalchemy
from eco2_tracing._compat import httpx as httpx_names
from eco2_tracing._compat.logging import format_of
from tests.repository.measures import private_names
from tests.repository.sources import library


def test_api_without_its_global_provider(monkeypatch):
    """No provider is found or removed."""
    monkeypatch.delattr(trace, "_TRACER_PROVIDER")
    assert api.global_provider() is None
    monkeypatch.delattr(trace, "_TRACER_PROVIDER_SET_ONCE")
    with pytest.raises(AttributeError):
        api.forget_global_provider()


def test_logging_without_the_format_of_a_formatter():
    """The format is unknown; without a formatter there is none."""
    formatter = logging.Formatter("%(message)s")
    assert format_of(formatter) == "%(message)s"
    del formatter._fmt
    assert format_of(formatter) is format_of(None) is None


def test_api_without_its_context_manager(monkeypatch):
    """The standard library's decorates functions."""
    monkeypatch.setattr(import_module("opentelemetry.util._decorator"), "_agnosticcontextmanager", None)
    monkeypatch.delattr("opentelemetry.util._decorator._agnosticcontextmanager")

    @api._span_block()
    def block():
        yield 1

    with block() as value:
        assert value == 1


def test_instrumentations_without_their_choice_of_conventions(caplog):
    """They use their default, and one line is logged."""
    contrib._choose(ModuleType("opentelemetry.instrumentation._semconv"))
    assert "choosing the stable semantic conventions" in caplog.text


def test_instrumentations_without_the_attributes_of_searches():
    """The module is not changed."""
    module = ModuleType("opentelemetry.instrumentation.redis")
    before = dict(vars(module))
    contrib.leave_out_searches(module)
    assert vars(module) == before


def test_interceptors_without_their_span(caplog):
    """The class is not changed, and one line is logged."""

    class Interceptor:
        pass

    contrib.wrap_server_spans(Interceptor, lambda span: None)
    assert not hasattr(Interceptor, "_start_span")
    assert "the status of gRPC server spans" in caplog.text


def test_an_instrumentation_is_switched_off_by_its_base_class():
    """The method is abstract there: an instrumentation without it cannot be made."""
    base = import_module("opentelemetry.instrumentation.instrumentor").BaseInstrumentor
    assert "_uninstrument" in base.__abstractmethods__
    switched_off = []
    contrib.remove_hooks(SimpleNamespace(_uninstrument=lambda: switched_off.append(True)))
    assert switched_off == [True]


def test_a_client_of_rabbitmq_without_its_connection():
    """The broker is unknown."""
    assert pika.address(SimpleNamespace()) == pika.UNKNOWN
    assert aio_pika.address(SimpleNamespace()) == aio_pika.UNKNOWN
    url = SimpleNamespace(host="rabbit", port=None)
    assert aio_pika.address(SimpleNamespace(connection=SimpleNamespace(url=url))) == ("rabbit", 5672)


def test_an_engine_with_options_without_its_original():
    """It is used itself."""
    engine = SimpleNamespace()
    assert sqlalchemy.original_engine(engine) is engine


def test_an_sdk_without_a_fork_hook():
    """The method that replaces it is not called by anything else."""

    class Provider(sdk.WithoutForkHook):
        pass

    assert Provider()._handle_fork() is None


def test_a_python_without_its_import_locks(monkeypatch):
    """Nothing is done, and what is imported stays."""
    imports.prepare_repair()
    before = dict(sys.modules)
    with monkeypatch.context() as patch:
        patch.delattr(sys.modules["_frozen_importlib"], "_module_locks")
        patch.delattr(sys.modules["_imp"], "lock_held")
        imports.repair_imports(threading.get_ident())
    assert sys.modules == before


def test_a_python_without_ctypes(monkeypatch):
    """The import system's lock stays as it is."""
    monkeypatch.setitem(sys.modules, "ctypes", None)
    imports.prepare_repair()
    imports.repair_imports(0)


@pytest.mark.parametrize(
    ("held", "threads", "mends", "called"),
    [
        (True, ["1"], True, 1),
        (True, ["1"], False, 0),
        (False, ["1"], True, 0),
        (True, ["1", "2"], True, 0),
        (True, None, True, 0),
    ],
)
def test_the_import_lock_is_renewed_in_a_process_of_one_thread(held, threads, mends, called, monkeypatch):
    """Python's own work after a fork would take away what other threads of the child have."""

    def listdir(path):
        if threads is None:
            raise FileNotFoundError(path)
        return threads

    calls = []
    api = SimpleNamespace(PyOS_AfterFork_Child=lambda: calls.append(None))
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "ctypes", SimpleNamespace(pythonapi=api))
        patch.setattr(sys.modules["_imp"], "lock_held", lambda: held)
        patch.setattr(imports.os, "listdir", listdir)
        patch.setattr(imports, "_FORKS_OWN_THE_LOCK", (3, 99) if mends else (3, 0))
        imports.repair_imports(0)
    assert len(calls) == called


def test_the_imports_of_one_thread_are_forgotten(monkeypatch):
    """Those of other threads stay, and so do modules that are complete."""
    complete, partial, other = ModuleType("complete"), ModuleType("partial"), ModuleType("other")
    for module in (complete, partial, other):
        module.__spec__ = ModuleSpec(module.__name__, None)
        module.__spec__._initializing = module is not complete
        monkeypatch.setitem(sys.modules, module.__name__, module)
    owners = {"complete": 1, "partial": 1, "absent": 1, "other": 2}
    held = {name: SimpleNamespace(owner=owner) for name, owner in owners.items()}
    locks = {name: (lambda lock=lock: lock) for name, lock in held.items()} | {"gone": lambda: None}
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["_frozen_importlib"], "_module_locks", locks)
        imports.repair_imports(1)
    assert list(locks) == ["other", "gone"]
    assert [name for name in owners if name in sys.modules] == ["complete", "other"]


def test_private_names_are_found():
    """Names of other packages in today's modules, and none that the library defines."""
    found = private_names(library())
    assert "_TRACER_PROVIDER_SET_ONCE" in found
    assert "_given_name" not in found


def test_an_httpx_without_its_private_names():
    """No client is recognized, and headers are written by the public methods."""
    assert not httpx_names.sends_requests(SimpleNamespace())
    assert httpx_names.send_method(None) is None
    assert httpx_names.header_items(SimpleNamespace()) is None
    with pytest.raises(AttributeError):
        httpx_names.transport_of(SimpleNamespace(), "http://auth.svc/")
