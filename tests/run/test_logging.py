"""Logging below `eco2-tracing run`, in this process: what is configured stays."""

from __future__ import annotations

import io
import json
import logging

import pytest

from eco2_tracing._run import set_up, start
from eco2_tracing.logs import configure_logging, reset_logging
from eco2_tracing.logs._configure import configure_unconfigured


@pytest.fixture
def empty(monkeypatch):
    """Empty the root logger of pytest's handlers, which the test itself has to do, and reset logging afterwards."""
    for name in (
        "uvicorn",
        "uvicorn.access",
    ):  # tests of real servers in this process may have configured both
        server = logging.getLogger(name)
        monkeypatch.setattr(server, "handlers", [])
        monkeypatch.setattr(server, "propagate", True)
        monkeypatch.setattr(server, "level", logging.INFO)
        monkeypatch.setattr(server, "disabled", False)

    def without_handlers() -> logging.Logger:
        root = logging.getLogger()
        monkeypatch.setattr(root, "handlers", [])
        return root

    yield without_handlers
    reset_logging()


def handler(form: str | None) -> logging.StreamHandler:
    """A plain stream handler with a format."""
    made = logging.StreamHandler(io.StringIO())
    if form is not None:
        made.setFormatter(logging.Formatter(form))
    return made


@pytest.mark.parametrize(
    ("form", "stays"),
    [(None, False), (logging.BASIC_FORMAT, False), ("%(message)s", False), ("> %(message)s", True)],
)
def test_a_handler_of_the_root_logger(empty, form, stays):
    """One with a format of its own keeps this library out."""
    root, own = empty(), handler(form)
    root.addHandler(own)
    configure_unconfigured("shop")
    assert (own in root.handlers) is stays
    assert len(root.handlers) == 1


def test_a_handler_of_another_kind(empty):
    """It is somebody's configuration."""
    root = empty()
    root.addHandler(logging.NullHandler())
    configure_unconfigured("shop")
    assert [type(each) for each in root.handlers] == [logging.NullHandler]


def test_a_server_logger(empty, capsys):
    """One with a format of its own stays until the code calls `configure_logging`; the server's own is replaced."""
    empty()
    access = logging.getLogger("uvicorn.access")
    configure_unconfigured("shop")
    own, default = handler("> %(message)s"), handler("%(message)s")
    access.handlers, access.propagate = [own], False
    access.info("first")
    assert own.stream.getvalue() == "> first\n"
    assert access.handlers == [own]
    assert not access.propagate
    access.handlers = [default]
    access.info("second")
    assert (access.handlers, access.propagate) == ([], True)
    assert json.loads(capsys.readouterr().out)["message"] == "second"
    access.handlers, access.propagate = [own], False
    configure_logging()
    assert (access.handlers, access.propagate) == ([], True)


def test_the_format_that_the_command_chooses(empty, monkeypatch, capsys):
    """It is a default: the code's argument and the variable come before it."""
    empty()
    monkeypatch.setenv("_ECO2_TRACING_RUN_LOG_FORMAT", "text")
    for form, is_json in ((None, False), ("json", True)):
        configure_logging(format=form)
        logging.getLogger("shop").info("hello")
        assert capsys.readouterr().out.startswith("{") is is_json
    monkeypatch.setenv("ECO2_TRACING_LOG_FORMAT", "text")
    configure_logging(format="json")
    logging.getLogger("shop").info("hello")
    assert not capsys.readouterr().out.startswith("{")


@pytest.mark.parametrize(("value", "handlers"), [("logging", 1), ("no-logging", 0)])
def test_logging_is_set_up_when_a_server_is_imported(empty, monkeypatch, value, handlers):
    """Once, unless the option of the command excludes it."""
    root = empty()
    monkeypatch.setattr(set_up, "_done", set())
    monkeypatch.setenv("_ECO2_TRACING_RUN", value)
    start._server_imported(start)
    start._server_imported(start)
    assert len(root.handlers) == handlers
