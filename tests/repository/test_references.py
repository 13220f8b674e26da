"""The reference pages agree with the code."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator

import pytest

from eco2_tracing._export.batch import failure_log
from eco2_tracing._export.signal import TRACES
from eco2_tracing._export.transport import mismatch
from eco2_tracing._instrumentation.common.served_request import NOT_AWAITED
from tests.repository.sources import ROOT, Module, library
from tests.repository.test_public import PUBLIC
from website.__main__ import PAGES

REFERENCE = ROOT / "docs" / "reference"
NAMESPACES = (
    "client|code|container|db|deployment|eco2|error|event|exception|host|http|k8s|log|messaging|network|process|rpc|"
    "sampler|server|service|span|telemetry|trace|url|user|user_agent"
)
ATTRIBUTE = re.compile(rf"(?:{NAMESPACES})(?:\.[a-z0-9_]+)+")
# Types of ASGI messages, modules, a setting of Kafka's clients, and attributes that are only read.
NO_ATTRIBUTES = re.compile(
    r"http\.(?:client|disconnect|request|response\.(?:start|body|pathsend|trailers)|status_code)|client\.id|db\.system\.name"
)
# What only reads spans, or names other things.
NO_SOURCES = ("_cli", "_console", "_redaction", "_run", "_settings", "testing", "_lifecycle", "propagation")
NO_SOURCES += ("_doctor", "_view", "metrics")


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_current(name):
    """`python -m website` writes what is there."""
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == PAGES[name]()


def texts(module: Module) -> Iterator[str]:
    """The texts of a module, docstrings left out."""
    scopes = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    first = [node.body[0] for node in ast.walk(module.tree) if isinstance(node, scopes) and node.body]
    docstrings = {id(node.value) for node in first if isinstance(node, ast.Expr)}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def attributes(*, of_logs: bool) -> set[str]:
    """The names of attributes, or of log fields, in the code."""
    modules = [module for module in library() if module.room not in NO_SOURCES]
    chosen = [module for module in modules if (module.room == "logs") is of_logs]
    names = {text for module in chosen for text in texts(module) if ATTRIBUTE.fullmatch(text)}
    return {name for name in names if not NO_ATTRIBUTES.fullmatch(name)}


def test_span_attributes_are_on_their_page():
    """Each attribute that the code sets has a row."""
    page = (REFERENCE / "span-attributes.md").read_text(encoding="utf-8")
    assert [name for name in sorted(attributes(of_logs=False)) if f"`{name}`" not in page] == []


def test_log_fields_are_on_their_page():
    """Each field that a line can have has a row."""
    page = (REFERENCE / "log-fields.md").read_text(encoding="utf-8")
    assert [name for name in sorted(attributes(of_logs=True)) if f"`{name}`" not in page] == []


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names_are_in_the_api_reference(module):
    """Each name has an entry that is made from its docstring."""
    name = module.rpartition(".")[2] if "." in module else ""
    page = (REFERENCE / f"api{'-' * bool(name)}{name}.md").read_text(encoding="utf-8")
    entries = set(re.findall(r"^::: (\S+)$", page, re.MULTILINE))
    assert entries == {f"{module}.{public}" for public in importlib.import_module(module).__all__}


SHORT = 2  # words of a template that only joins two texts
LOGGED = {"warn": 0, "warning": 0, "info": 0, "log": 1, "warn_once": 1}


def messages() -> Iterator[tuple[str, str]]:
    """The templates that the code logs, each with its place."""
    for module in library():
        for node in ast.walk(module.tree):
            if (
                isinstance(node, ast.Call)
                and (at := LOGGED.get(ast.unparse(node.func).rpartition(".")[2])) is not None
            ):
                yield from ((f"{module.name}:{node.lineno}", text) for text in _texts(node.args[at : at + 1]))
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "message":
                yield from ((f"{module.name}:{node.lineno}", text) for text in _texts([node.value]))
    said = {"Items": "Spans", "items": TRACES.items, "endpoint": "…"}
    said |= {"exporter": TRACES.exporter, "others": TRACES.others}
    for headline, consequence in failure_log._REPORTS.values():
        yield "failure_log", f"{headline.format(**said)}: …"
        yield "failure_log", consequence.format(**said)
    yield "served_request", NOT_AWAITED
    for name in ("_TLS_EXPECTED", "_NO_HTTP2", "_HTTP2", "_NO_HTTP"):
        yield "mismatch", getattr(mismatch, name)


def _texts(nodes: list[ast.expr]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value.split()) > SHORT:
            yield node.value


def plain(text: str) -> str:
    """A text without what differs: placeholders, white space."""
    text = re.sub(r"%%", "%", re.sub(r"%(?!%)[-.0-9]*[a-z]", "…", text))
    return re.sub(r"(?:…\W*)+", "… ", " ".join(text.split())).strip()


def test_log_messages_are_on_their_page():
    """Each line that the code logs is on the page with its cure."""
    page = plain((REFERENCE / "log-messages.md").read_text(encoding="utf-8"))
    assert [f"{where}: {text}" for where, text in messages() if plain(text) not in page] == []
