"""The pages of `docs/start/`, `docs/how-to/` and `docs/troubleshooting/` do what they say, with real servers."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from opentelemetry.trace import StatusCode

from eco2_tracing import TracingSettings, configure_tracing, flush_tracing, span
from tests.e2e.collector import go_collector
from tests.support import programs
from tests.support.gunicorn import wait_for_workers
from tests.support.jaeger import running_jaeger, wait_for
from tests.support.pages import DOCS, commands, environment, files, lines, of, output, read
from tests.support.redis import redis_server
from tests.support.servers import free_port

LIMIT_S = 60.0
PAGES = [
    str(path.relative_to(DOCS))
    for folder in ("start", "how-to", "troubleshooting")
    for path in sorted((DOCS / folder).glob("*.md"))
]
GET = """
from fastapi.testclient import TestClient
with TestClient({app}, raise_server_exceptions=False) as client:
    client.{method}("{path}", headers={headers})
from eco2_tracing import flush_tracing
flush_tracing()
"""


def get(path: str, *, app: str = "app", method: str = "get", headers: Mapping[str, str] | None = None) -> str:
    """Code that sends a request to an application of a page."""
    return GET.format(app=app, method=method, path=path, headers=dict(headers or {}))


def exported(page: str, more: str, receiver, cwd: Path, **environ: str):
    """The spans that the programs of a page export."""
    more_environ = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.grpc_endpoint}
    output(page, more, cwd, **(more_environ | environ))
    return receiver.spans


# Settings.


def variables(page: str) -> Iterator[dict[str, str]]:
    """The variables of each list in YAML, and of each command."""
    for text in of(page, "yaml"):
        listed = re.findall(r"- name: ([A-Z][A-Z0-9_]+)\n +value: *(.+)", text)
        yield {name: value.split("  #")[0].strip().strip('"') for name, value in listed}
    for command in commands(page):
        yield dict(re.findall(r"\b((?:OTEL|ECO2)_[A-Z0-9_]+)=(\S+)", command))
    for name, value in re.findall(r"`((?:OTEL|ECO2)_[A-Z0-9_]+)=([^`\s…<]+)`", read(page)):
        yield {name: value}


@pytest.mark.parametrize("page", PAGES)
def test_settings_are_valid(page, monkeypatch):
    """Every variable with a value on a page is accepted in strict mode."""
    for found in variables(page):
        with monkeypatch.context() as patch:
            for name, value in found.items():
                patch.setenv(name, value)
            problems = TracingSettings(strict=True).problems
            assert {each.variable for each in problems} <= {"OTEL_ENABLED"}, (
                problems
            )  # an older name, which works


@pytest.mark.parametrize("page", PAGES)
def test_a_page_begins_with_the_answer(page):
    """Each page has one title, a snippet or a table within its first 12 lines, and at most 60 lines of text."""
    text = (DOCS / page).read_text()
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert len(re.findall(r"^# ", prose, re.MULTILINE)) == 1
    assert re.search(r"^(```|\|)", "\n".join(text.splitlines()[:12]), re.MULTILINE), page
    assert sum(map(bool, prose.splitlines())) <= 60, page


# Log lines.


@pytest.mark.parametrize(
    ("page", "more", "environ"),
    [
        ("how-to/log-json.md", get("/items/7"), {}),
        ("how-to/add-fields.md", get("/orders/7"), {}),
        ("how-to/use-structlog.md", "", {}),
        ("how-to/use-loguru.md", "", {}),
    ],
)
def test_log_lines_are_as_shown(page, more, environ, tmp_path):
    """The first line with the message of the page has its fields, in the same order, and its values."""
    (shown,) = map(json.loads, of(page, "json"))
    printed = lines(output(page, more, tmp_path, OTEL_TRACES_EXPORTER="none", **environ))
    found = next(line for line in printed if line["message"] == shown["message"])
    assert [key for key in found if key != "service.node.name"] == [
        key for key in shown if key != "service.node.name"
    ]
    for key in ("log.level", "log.logger", "service.name", "user.id", "labels", "process.thread.name"):
        assert found.get(key) == shown.get(key), key


def test_lokis_derived_field():
    """The expression of `tempo.md` finds the trace id in a line of `log-json.md`."""
    (expression,) = re.findall(r"regular expression `([^`]+)`", read("how-to/tempo.md"))
    (line,) = of("how-to/log-json.md", "json")
    assert re.search(expression, line)[1] == json.loads(line)["trace.id"]


def test_structlog_without_the_standard_library(tmp_path):
    """It prints the same fields, without the logger's name."""
    page = "how-to/use-structlog.md"
    (shown,) = map(json.loads, of(page, "json"))
    printed = lines(output(page, "", tmp_path, OTEL_TRACES_EXPORTER="none"))[-1]
    ours = {"log.logger", "process.pid", "process.thread.name", "service.node.name"}
    assert set(printed) - ours == set(shown) - ours
    assert "log.logger" not in printed


def test_the_span_and_the_access_line_have_the_bound_field(otlp_receiver, tmp_path):
    """The user of `add-fields.md`."""
    environ = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_receiver.grpc_endpoint}
    output("how-to/add-fields.md", get("/orders/7"), tmp_path, **environ)
    assert otlp_receiver.one("GET /orders/{order}").attributes["user.id"] == "mina"


# Spans.


def test_filters(otlp_receiver, tmp_path):
    """`before_export` drops, renames and edits; the hook adds a field from a header."""
    more = """
@app.get("/internal/jobs")
def jobs(): pass
from eco2_tracing import span
with span("connect"), span("kept"):
    pass
"""
    more += get("/internal/jobs") + get("/orders", app="orders", headers={"x-tenant-id": "blue"})
    spans = exported("how-to/filter-spans.md", more, otlp_receiver, tmp_path)
    assert sorted(each.name for each in spans) == ["GET /orders", "internal request", "kept"]
    assert {each.attributes["team"] for each in spans} == {"billing"}
    assert otlp_receiver.one("GET /orders").attributes["tenant.id"] == "blue"


def test_a_span_processor(otlp_receiver, tmp_path):
    """The one of `filter-spans.md` sets an attribute on each span of a request with baggage."""
    more = """
trace.get_tracer_provider().add_span_processor(processors[0])
"""
    headers = {"baggage": "tenant=blue"}
    more = "from opentelemetry import trace" + more + get("/orders", app="orders", headers=headers)
    exported("how-to/filter-spans.md", more, otlp_receiver, tmp_path)
    assert otlp_receiver.one("GET /orders").attributes["tenant.id"] == "blue"


def test_an_error_by_hand_is_kept(otlp_receiver, tmp_path):
    """A response of 200 with the status `ERROR` is exported at a ratio of 0, with its reason."""
    environ = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}
    exported("how-to/keep-errors.md", get("/pay"), otlp_receiver, tmp_path, **environ)
    (paid,) = otlp_receiver.spans
    assert paid.attributes["http.response.status_code"] == 200
    assert paid.attributes["eco2.sampling.reason"] == "error"


def test_functions(otlp_receiver, tmp_path):
    """The spans of `trace-functions.md`, with their names and parents."""
    more = """
import asyncio
from eco2_tracing import flush_tracing
price(1)
asyncio.run(reserve(3))
flush_tracing()
"""
    exported("how-to/trace-functions.md", more, otlp_receiver, tmp_path)
    assert {"price", "reserve stock", "count shelves", "write report"} <= {
        each.name for each in otlp_receiver.spans
    }
    stock, shelves = otlp_receiver.one("reserve stock"), otlp_receiver.one("count shelves")
    assert shelves.parent_span_id == stock.span_id
    assert (stock.attributes["shop.kind"], shelves.attributes["shelf.count"]) == ("tea", 3)


def test_queries(otlp_receiver, tmp_path):
    """The spans of `databases.md`, in their tree."""
    exported("how-to/databases.md", get("/items"), otlp_receiver, tmp_path)
    assert otlp_receiver.one("GET /items")
    assert tree(otlp_receiver) == shown_tree("how-to/databases.md")


def test_a_bare_decision_samples(otlp_receiver, tmp_path):
    """The header of `no-spans.md` begins a sampled trace at a ratio of 0."""
    (command,) = [each for each in commands("troubleshooting/no-spans.md") if each.startswith("curl ")]
    name, value = re.search(r"-H '([^:]+): ([^']+)'", command).groups()
    environ = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}
    more = get("/items/1") + get("/items/1", headers={name: value})
    exported("how-to/uvicorn.md", more, otlp_receiver, tmp_path, **environ)
    assert [each.name for each in otlp_receiver.spans] == ["GET /items/{item}"]


def test_the_id_of_the_caller(tmp_path):
    """The command of `different-trace-ids.md` shows its trace id in the log line."""
    (command,) = [
        each for each in commands("troubleshooting/different-trace-ids.md") if each.startswith("curl ")
    ]
    headers = dict(re.findall(r"-H '([^:]+): ([^']+)'", command))
    more = get("/items/1", headers=headers)
    printed = lines(output("how-to/log-json.md", more, tmp_path, OTEL_TRACES_EXPORTER="none"))
    (line,) = [each for each in printed if each["message"] == "reading an item"]
    assert line["trace.id"] == headers["b3"].partition("-")[0]


def test_the_warning_of_a_refused_connection(tmp_path):
    """It is the one of `connection-refused.md`."""
    (shown,) = of("troubleshooting/connection-refused.md", "text")
    port = free_port()
    more = """
import os, sys
from eco2_tracing import flush_tracing, span
with span("work"):
    pass
flush_tracing(0.5)
sys.stdout.flush()
os._exit(0)  # nothing answers, so the exit would wait
"""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://localhost:{port}"}
    printed = lines(output("how-to/log-json.md", more, tmp_path, **environ))
    (line,) = [each["message"] for each in printed if each["message"].startswith("Spans do not reach")]
    assert line.replace(str(port), "4317") == " ".join(shown.split())


def test_grpc(otlp_receiver, tmp_path):
    """The server of `grpc.md` and a client have the spans of the page, in one trace."""
    page = "how-to/grpc.md"
    more = """
from eco2_tracing import flush_tracing, span
count = {"Count": grpc.unary_unary_rpc_method_handler(lambda request, context: request)}
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("stock.Stock", count),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
with span("GET /items/{item}"), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
    channel.unary_unary("/stock.Stock/Count")(b"")
server.stop(None).wait()
flush_tracing()
"""
    exported(page, more, otlp_receiver, tmp_path)
    assert tree(otlp_receiver) == shown_tree(page)


def test_jaeger_finds_the_kept_traces():
    """The tag of `jaeger.md` finds the trace with an error."""
    assert "`eco2.sampling.reason=error`" in read("how-to/jaeger.md")
    with running_jaeger("command") as jaeger:
        configure_tracing("shop", settings=TracingSettings(exporter_otlp_endpoint=jaeger.otlp_grpc))
        with span("bad") as failed:
            failed.set_status(StatusCode.ERROR)
        with span("good"):
            pass
        assert flush_tracing()
        tags = urllib.parse.quote('{"eco2.sampling.reason":"error"}')
        (trace,) = wait_for(lambda: jaeger.get(f"{jaeger.query}/api/traces?service=shop&tags={tags}")["data"])
    assert [each["operationName"] for each in trace["spans"]] == ["bad"]


def test_the_collector_accepts_its_configuration(tmp_path):
    """The one of `collector.md`, as a real collector reads it."""
    (text,) = [each for each in of("how-to/collector.md", "yaml") if "receivers:" in each]
    (tmp_path / "collector.yaml").write_text(text)
    subprocess.run([go_collector(), "validate", "--config=collector.yaml"], cwd=tmp_path, check=True)


# Servers.


def shown_tree(page: str) -> list[tuple[int, str]]:
    """The tree of a page: depth and name of each span."""
    text = next(each for each in of(page, "text") if "└─ " in each)
    found = []
    for line in text.splitlines():
        indent, name = re.match(r"([ │├└─]*)(.*)", line).groups()
        found.append((len(indent) // 3, re.split(r" {2,}", name)[0]))
    return found


def tree(receiver) -> list[tuple[int, str]]:
    """The only trace of a receiver in the same form."""
    (trace,) = receiver.traces()
    return [(depth, each.name) for depth, each in trace.walk()]


@contextmanager
def serving(
    modules: Mapping[str, str], command: str, cwd: Path, port: int, **environ: str
) -> Iterator[programs.Process]:
    """A command in a folder with Python files; it has ended by SIGTERM when the block has."""
    for name, text in modules.items():
        (cwd / name).write_text(text)
    # Two workers show what four do.
    command = command.replace("-w 4", "-w 2").replace("WEB_CONCURRENCY=4", "WEB_CONCURRENCY=2")
    arguments = shlex.split(command.replace("0.0.0.0:8000", f"127.0.0.1:{port}"))
    while "=" in arguments[0]:
        name, _, value = arguments.pop(0).partition("=")
        environ[name] = value
    arguments = [argument.replace("0.0.0.0", "127.0.0.1") for argument in arguments]
    if "--port" in arguments:
        arguments[arguments.index("--port") + 1] = str(port)
    elif "uvicorn" in arguments and "gunicorn" not in arguments:
        arguments += ["--port", str(port)]
    with tempfile.TemporaryFile("w+") as log:
        more = environment(PYTHONWARNINGS="ignore", **environ)
        process = programs.start(arguments, cwd=cwd, env=more, stdout=log, stderr=log)
        try:
            yield process
        finally:
            wait_for_workers(process)
            process.terminate()
            process.wait(LIMIT_S)
            log.seek(0)
            process.written = log.read()


def request(port: int, path: str, method: str = "GET") -> str:
    """The body of a response, once the server listens."""
    end = time.monotonic() + LIMIT_S
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            url = f"http://127.0.0.1:{port}{path}"
            with opener.open(urllib.request.Request(url, method=method), timeout=LIMIT_S) as response:
                return response.read().decode()
        except urllib.error.HTTPError:
            raise
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.05)


SERVED = [
    ("start/without-code.md", "eco2-tracing run uvicorn app:app", "/items/{item}"),
    ("how-to/uvicorn.md", "uvicorn app:app --host 0.0.0.0 --port 8000", "/items/{item}"),
    ("how-to/uvicorn.md", "WEB_CONCURRENCY=4 uvicorn app:app --host 0.0.0.0 --port 8000", "/items/{item}"),
    ("how-to/uvicorn.md", "uvicorn app:app --log-config log.json", "/items/{item}"),
    (
        "how-to/gunicorn.md",
        "gunicorn app:app -k uvicorn_worker.UvicornWorker -w 4 -b 0.0.0.0:8000",
        "/items/{item}",
    ),
    ("how-to/flask.md", "gunicorn app:app -w 4 -b 0.0.0.0:8000", "/items/<int:item>"),
]


@pytest.mark.parametrize(("page", "command", "route"), SERVED, ids=[" ".join(case[:2]) for case in SERVED])
def test_servers(page, command, route, otlp_receiver, tmp_path):
    """The command of a page serves its app: the span is exported, and every line is JSON, one with the trace id."""
    for module in ("gunicorn", "uvicorn", "uvicorn_worker"):
        pytest.importorskip(module)
    assert command in commands(page)
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": otlp_receiver.grpc_endpoint}
    if "log.json" in command:
        (write,) = [each for each in commands(page) if each.endswith("> log.json")]
        subprocess.run(["bash", "-c", write], cwd=tmp_path, env=environment(), check=True)
    port = free_port()
    with serving(files(page), command, tmp_path, port, **environ) as process:
        assert json.loads(request(port, "/items/7")) == {"item": 7}
    (span,) = otlp_receiver.spans
    assert span.name == f"GET {route}"
    (access,) = [each for each in lines(process.written) if each.get("url.path") == "/items/7"] or [None]
    if "flask" not in page:
        assert access["trace.id"] == span.trace_id
    others = [each for each in process.written.splitlines() if not each.startswith("{")]
    assert [each for each in others if "log.json" in command or "gunicorn" in page] == []


OWN = sorted(
    {
        command
        for page in PAGES
        for command in commands(page)
        if re.search("uvicorn (app|shop):app", command) and "eco2-tracing view" not in command
    }
)


@pytest.mark.parametrize("command", [each for each in OWN if each not in {case[1] for case in SERVED}])
def test_commands_for_the_readers_app(command, otlp_receiver, tmp_path):
    """Those of all pages serve an app: with `run` one without tracing, else one that configures it."""
    pytest.importorskip("uvicorn")
    page = "start/without-code.md" if "eco2-tracing run" in command else "how-to/uvicorn.md"
    (text,) = files(page).values()
    port = free_port()
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": otlp_receiver.grpc_endpoint}
    command = command.replace("http://localhost:4317", otlp_receiver.grpc_endpoint)
    with serving({"app.py": text, "shop.py": text}, command, tmp_path, port, **environ) as process:
        assert json.loads(request(port, "/items/7")) == {"item": 7}
    exported = (
        ["GET /items/{item}"] if "DISABLED" not in command and "EXPORTER=waterfall" not in command else []
    )
    assert [each.name for each in otlp_receiver.spans] == exported
    assert ("GET /items/{item} " in process.written) is ("EXPORTER=waterfall" in command)


@pytest.mark.parametrize("page", ["how-to/uvicorn.md", "how-to/gunicorn.md"])
def test_dockerfiles(page):
    """The command of the image is that of the page, and copies the files of the page."""
    (text,) = of(page, "dockerfile")
    arguments = json.loads(re.search(r"^CMD (.+)$", text, re.MULTILINE)[1])
    assert any(set(arguments) <= set(shlex.split(command)) for command in commands(page))
    for name in files(page):
        assert name in text


def test_celery(otlp_receiver, tmp_path):
    """A task of the page is part of the trace of the request that sent it, over Redis."""
    page = "how-to/celery.md"
    pytest.importorskip("redis")
    with redis_server() as redis:
        environ = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_receiver.grpc_endpoint,
            "BROKER_URL": f"redis://127.0.0.1:{redis}/0",
            # The worker's own connections are no part of the trace.
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "redis",
        }
        port = free_port()
        assert {"celery -A tasks worker", "uvicorn shop:app"} < set(commands(page))
        with serving(files(page), "celery -A tasks worker", tmp_path, port, **environ):
            with serving(files(page), "uvicorn shop:app", tmp_path, port, **environ):
                assert "task" in json.loads(request(port, "/orders", "POST"))
            otlp_receiver.wait_for(4, timeout_s=LIMIT_S)
    assert tree(otlp_receiver) == shown_tree(page)
    assert {each.service for each in otlp_receiver.find("boil water")} == {"kitchen"}
    assert {each.service for each in otlp_receiver.find("POST /orders")} == {"shop"}
