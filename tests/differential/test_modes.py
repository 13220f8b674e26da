"""The same requests and calls in lean mode, in contrib mode, and with OpenTelemetry's packages alone."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.differential.client_cases import CLIENT_CASES
from tests.differential.corrections import (
    CORRECTIONS,
    HEADER_NAMES,
    NO_MESSAGE_SPANS,
    REDACTED_QUERIES,
    expected,
)
from tests.differential.server_cases import SERVER_CASES
from tests.support import programs

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "instrumentation.md"
CAPTURE = {
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "x-captured.*,X-Secret-Token",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE": "x-reply,x-secret-.*",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST": "x-captured.*,X-Secret-Token",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE": "x-reply,x-secret-.*",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS": ".*secret.*",
}
MODES = {
    "stock": {"OTEL_SEMCONV_STABILITY_OPT_IN": "http,database"},
    "contrib": {"OTEL_TRACES_EXPORTER": "none", "ECO2_TRACING_INSTRUMENTATION": "contrib"},
    "lean": {"OTEL_TRACES_EXPORTER": "none", "ECO2_TRACING_INSTRUMENTATION": "lean"},
}
FASTAPI = "fastapi"
"""The scope of FastAPI's own spans."""
GROUP = "ExceptionGroup"
"""What older versions of Starlette raise around what a stream raised; lean spans tell what is in it."""
SECRET = re.compile("(token|sig|X-Goog-Signature|password)=[^&]*")
HEADER = re.compile(r"http\.(?:request|response)\.header\.")
FIELDS = ("name", "kind", "parent", "status", "description", "events")
CLIENTS = [name for name in ("httpx", "httpx2") if importlib.util.find_spec(name)]
CASES = [f"server: {case.name}" for case in SERVER_CASES] + [
    f"{client}{way}: {case.name}" for client in CLIENTS for way in ("", " async") for case in CLIENT_CASES
]


def _contrib_version():
    """The minor version of the contrib packages, such as 66."""
    version = importlib.metadata.version("opentelemetry-instrumentation-fastapi")
    return int(version.split(".")[1].split("b")[0])


pytestmark = pytest.mark.skipif(
    _contrib_version() < 66,
    reason="the list of corrections is kept for opentelemetry-instrumentation 0.66b0 on",
)


def _record(mode):
    """Run the recorder in a separate process with the environment of the mode."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "ECO2_"))}
    command = [sys.executable, "-m", "tests.differential.record", mode]
    done = programs.run(command, env={**kept, **CAPTURE, **MODES[mode]})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def recorded():
    """The spans of every case, in every mode."""
    with ThreadPoolExecutor() as pool:
        return dict(zip(MODES, pool.map(_record, MODES), strict=True))


def is_message(span):
    """Whether it is one of contrib's spans of an ASGI message."""
    return "asgi.event.type" in span["attributes"]


def without_messages(spans):
    """The spans of a case without those of ASGI messages."""
    return [span for span in spans if not is_message(span)]


def differences(one, other):
    """The fields and attributes in which two spans differ."""
    before, after = ({**{f: s[f] for f in FIELDS}, **s["attributes"]} for s in (one, other))
    keys = before.keys() | after.keys()
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}


def conventional(span):
    """A contrib span with the conventions' names of captured headers, which is a correction too."""
    attributes = {
        name.replace("_", "-") if HEADER.match(name) else name: value
        for name, value in span["attributes"].items()
    }
    return {**span, "attributes": attributes}


def unwrapped(span):
    """The differences if contrib records a group and we its only exception."""
    description = f"{GROUP}: unhandled errors in a TaskGroup (1 sub-exception)"
    if not span["events"]:  # not a failure
        return {
            "status": ("ERROR", "UNSET"),
            "events": ([GROUP, GROUP], []),
            "description": (description, None),
        }
    (name,) = span["events"]
    assert name != GROUP
    assert span["description"].startswith(f"{name}: ")
    return {
        "error.type": (None, name),
        "events": ([GROUP, GROUP], [name]),
        "description": (description, span["description"]),
    }


@pytest.mark.parametrize("case", CASES)
def test_lean_equals_contrib_except_for_the_corrections(recorded, case):
    """Names, kinds, parents, statuses, events and attributes are equal, except for the list."""
    contrib = [conventional(span) for span in without_messages(recorded["contrib"][case])]
    lean = recorded["lean"][case]
    assert len(lean) == len(contrib)
    changes = expected(case)
    address = changes.pop("server.address", None)
    found = []
    for one, other in zip(contrib, lean, strict=True):
        difference = differences(one, other)
        if other["kind"] == "SERVER":
            assert difference.pop("server.address", None) == address
        if difference:
            found.append(difference)
    grouped = any(GROUP in span["events"] for span in contrib)
    wanted = unwrapped(*lean) if grouped else changes
    assert found == ([wanted] if wanted else [])


@pytest.mark.parametrize("case", CASES)
def test_contrib_mode_equals_stock_except_for_redaction(recorded, case):
    """Queries are masked, and FastAPI's native spans are off."""
    stock = [span for span in without_messages(recorded["stock"][case]) if span["scope"] != FASTAPI]
    contrib = without_messages(recorded["contrib"][case])
    assert len(contrib) == len(stock)
    for pair in zip(stock, contrib, strict=True):
        for key, (plain, masked) in differences(*pair).items():
            assert key in {"url.query", "url.full"}
            assert masked != plain
            assert SECRET.sub(r"\1=", masked) == SECRET.sub(r"\1=", plain)


def test_one_server_span_in_both_modes(recorded):
    """FastAPI's own telemetry creates no second one, also in mounted applications."""
    for mode in ("contrib", "lean"):
        for case, spans in recorded[mode].items():
            servers = [span for span in spans if span["kind"] == "SERVER"]
            wanted = case.startswith("server: ") and case != "server: excluded"
            assert len(servers) == wanted, (mode, case)


def test_lean_has_no_spans_of_messages(recorded):
    """Contrib creates a span for each ASGI message, which is a correction."""
    assert any(is_message(span) for spans in recorded["contrib"].values() for span in spans)
    assert not any(is_message(span) for spans in recorded["lean"].values() for span in spans)


def test_names_of_captured_headers(recorded):
    """Contrib's have underscores, lean spans the conventions' names."""
    for mode, name in (("contrib", "x_captured_also"), ("lean", "x-captured-also")):
        (span,) = without_messages(recorded[mode]["server: captured headers"])
        assert f"http.request.header.{name}" in span["attributes"]


def test_secrets_are_masked_in_both_modes(recorded):
    """No secret of a query or captured header is on a span, except for contrib's headers."""
    for mode in ("contrib", "lean"):
        text = json.dumps(recorded[mode])
        assert [secret for secret in ("s3cret", "hunter2", "hidden", "me:pass") if secret in text] == []
    assert "s3cret" in json.dumps(recorded["stock"])
    assert "hush" not in json.dumps(recorded["lean"])


def test_every_correction_has_a_case():
    """Each line of the list refers to existing cases."""
    names = {f"server: {case.name}" for case in SERVER_CASES} | {
        f"client: {case.name}" for case in CLIENT_CASES
    }
    for correction in CORRECTIONS:
        assert correction.why
        assert correction.cases
        assert correction.cases.keys() <= names, correction.title


def test_docs_have_the_whole_list():
    """The table has each correction with its reason, and no other."""
    rows = re.findall(
        r"^\| (.+?) \| (.+?) \|$",
        DOCS.read_text(encoding="utf-8").partition("## Corrections")[2],
        re.MULTILINE,
    )
    told = {title: why for title, why in rows if not set(title) <= set("- ") and title != "lean spans"}
    ours = {correction.title: correction.why for correction in CORRECTIONS}
    assert {title: told.pop(title, None) for title in ours} == ours
    assert set(told) == {NO_MESSAGE_SPANS, HEADER_NAMES, REDACTED_QUERIES}
