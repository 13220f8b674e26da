"""Every step of `docs/getting-started.md` runs, and shows what the page shows."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.repository.sources import PYPROJECT, ROOT
from tests.support.jaeger import running_jaeger, wait_for
from tests.support.servers import free_port
from tests.support.terminal import LIMIT_S, Terminal, on_terminal

PAGE = (ROOT / "docs" / "getting-started.md").read_text()
BIN = Path(sys.executable).parent
PORT = "8000"
PARTS = re.compile(
    r"^## (?P<heading>[^\n]+)$|^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
RUN = "eco2-tracing run uvicorn shop:app"
# What differs from run to run, and how lines are filled up to columns.
MASKS = [
    (r"\d\d:\d\d:\d\d\.\d{3}", "TIME"),
    (r"\d+\.\d ms", "DURATION"),
    (r"\b(?:[0-9a-f]{32}|[0-9a-f]{8})\b", "TRACE"),
    (r"process \[\d+]", "process [PID]"),
    (r"tracing shop (?:here|with).*", "tracing shop here"),
    (r"[━╸╺ ]+", " "),
]


class Block(NamedTuple):
    """A fenced block of the page."""

    step: str
    kind: str
    text: str


def blocks(page: str) -> list[Block]:
    """The blocks of a page, each with the heading above it."""
    step, found = "", []
    for part in PARTS.finditer(page):
        if part["heading"]:
            step = part["heading"].partition(" ")[2]
        else:
            found.append(Block(step, part["kind"], part["text"]))
    return found


def of(step: str, kind: str) -> list[str]:
    """The texts of a step's blocks of a kind."""
    found = [block.text for block in blocks(PAGE) if block.step == step and block.kind == kind]
    assert found, f"{step} has no {kind}"
    return found


def requests(step: str) -> Iterator[tuple[str, str]]:
    """The path of each `curl` of a step, with the body that the page shows."""
    for text in of(step, "console"):
        command, _, shown = text.partition("\n")
        if command.startswith("$ curl "):
            yield command.removeprefix(f"$ curl http://127.0.0.1:{PORT}"), shown.strip()


def masked(text: str, port: int | str = PORT) -> list[str]:
    """The lines of a text, without what differs from run to run."""
    text = text.replace(f":{port}", f":{PORT}")
    for pattern, by in MASKS:
        text = re.sub(pattern, by, text)
    return [line.strip() for line in text.splitlines()]


def shown(wanted: list[str], screen: list[str]) -> bool:
    """Whether lines are on a screen in this order, with others between them."""
    rest = iter(screen)
    return all(line in rest for line in wanted)


def together(wanted: list[str], screen: list[str]) -> bool:
    """Whether lines are on a screen one below the other, apart from gaps in a tree."""
    return "\n".join(wanted) in "\n".join(line for line in screen if "· no span" not in line)


def environment(**more: str) -> dict[str, str]:
    """The environment of a person whose virtual environment is activated."""
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("OTEL_", "ECO2_")) and key not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "CI"}
    }
    inherited["PATH"] = f"{BIN}{os.pathsep}{inherited['PATH']}"
    return inherited | {"TERM": "xterm-256color"} | more


def get(port: int, path: str) -> str:
    """The body of a response, once the server listens."""
    end = time.monotonic() + LIMIT_S
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            with opener.open(f"http://127.0.0.1:{port}{path}", timeout=LIMIT_S) as response:
                return response.read().decode()
        except urllib.error.HTTPError as response:
            with response:
                return response.read().decode()
        except urllib.error.URLError:
            assert time.monotonic() < end
            time.sleep(0.02)


def whole(traces: list[dict[str, list[object]]], count: int) -> list[dict[str, list[object]]]:
    """The traces that have so many spans."""
    return [trace for trace in traces if len(trace["spans"]) == count]


@contextmanager
def served(folder: Path, port: int, run: str = RUN, **environ: str) -> Iterator[Terminal]:
    """A service on a terminal, ended by Ctrl-C."""
    command = [*shlex.split(run), "--port", str(port)]
    with on_terminal(command, environment(**environ), folder) as terminal:
        terminal.wait_for("Uvicorn running")
        yield terminal
        terminal.press("\x03")
        assert terminal.wait() == 0, terminal.screen


@pytest.fixture
def shop(tmp_path):
    """The folder of the service, beside the checkout."""
    (tmp_path / "eco2-tracing").symlink_to(ROOT)
    (tmp_path / "shop").mkdir()
    return tmp_path / "shop"


@pytest.fixture
def service(shop):
    """The folder with the service of the third step."""
    for module in ("sqlalchemy", "uvicorn"):
        pytest.importorskip(module)
    (shop / "shop.py").write_text(of("A query and a log line", "python")[0])
    return shop


def test_the_installation():
    """It names the checkout, an extra that exists, and what the service imports."""
    commands = re.findall(r"^\$ (.+)$", "".join(of("Install", "console")), re.MULTILINE)
    assert commands[:2] == ["mkdir shop", "cd shop"]
    checkout, extra = re.match(
        r"pip install '\.\./([\w-]+)\[(\w+)]' uvicorn sqlalchemy$", commands[-1]
    ).groups()
    assert checkout == PYPROJECT["project"]["name"]
    assert extra in PYPROJECT["project"]["optional-dependencies"]


def test_the_wheel(shop):
    """Its command builds the wheel that the Dockerfile installs, with the extra of the first step."""
    pytest.importorskip("pip")
    pytest.importorskip("hatchling")
    command = of("Kubernetes", "console")[0].removeprefix("$ ").strip()
    assert command.startswith("pip wheel --no-deps ")
    offline = [sys.executable, "-m", *shlex.split(command), "--no-build-isolation", "--no-index", "-q"]
    subprocess.run(offline, cwd=shop, check=True, timeout=120)
    (wheel,) = (shop / "wheels").iterdir()
    assert (
        f"pip install 'wheels/{wheel.name}[sqlalchemy]' uvicorn sqlalchemy"
        in of("Kubernetes", "dockerfile")[0]
    )


def test_the_first_trace(shop):
    """The server's lines, the response, and one line for the trace."""
    pytest.importorskip("uvicorn")
    step = "The first trace"
    (shop / "shop.py").write_text(of(step, "python")[0])
    assert f"$ {RUN}\n" in of(step, "console")
    port = free_port()
    with served(shop, port, OTEL_TRACES_EXPORTER="waterfall") as terminal:
        for path, body in requests(step):
            assert get(port, path) == body
        terminal.wait_for(r"GET /items/\{item\} ")
    screen = masked(terminal.screen, port)
    begun, traced = (masked(text) for text in of(step, "text"))
    assert screen[: len(begun)] == begun
    assert shown(traced, screen), terminal.screen


def test_a_query_a_log_line_and_an_error(service):
    """The log line with its field, the query, and the tree of the failed request."""
    good, failed = "A query and a log line", "An error"
    (line,), (tree,) = (map(masked, of(step, "text")) for step in (good, failed))
    assert f"$ {RUN}\n" in of(good, "console")
    ((path, body),), ((broken, error),) = requests(good), requests(failed)
    port = free_port()
    with served(service, port, OTEL_TRACES_EXPORTER="waterfall") as terminal:
        assert get(port, path) == body
        terminal.wait_for(r"GET /items/\{item\} +200")
        # Where the machine is slow, a tree may be printed before the server has logged the exception.
        for attempt in range(1, 6):
            assert get(port, broken) == error
            terminal.wait_for(rf"curl http\S+{broken}", attempt)
            if together(tree, masked(terminal.screen, port)):
                break
    screen = masked(terminal.screen, port)
    assert shown(line, screen), terminal.screen
    assert together(tree, screen), terminal.screen


def test_jaeger(service):
    """The start-up line names the collector, and Jaeger has the spans of the failed request."""
    step = "Jaeger"
    (image,) = re.findall(r"jaegertracing/jaeger:\S+", PAGE)
    assert image in (ROOT / "tests" / "support" / "jaeger.py").read_text()
    assert f"$ {RUN}\n" in of(step, "console")
    begun, names = of(step, "text")
    port = free_port()
    with running_jaeger("command") as jaeger, ExitStack() as stack:
        endpoint = jaeger.otlp_grpc
        terminal = stack.enter_context(served(service, port, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint))
        for path, body in requests(step):
            assert get(port, path) == body
        found = terminal.wait_for(r"GET /items/3 500 +([0-9a-f]{8})")
        stack.close()
        url = f"{jaeger.query}/api/traces?service=shop"
        (trace,) = wait_for(lambda: whole(jaeger.get(url)["data"], 3))
    assert trace["traceID"].startswith(found[1])
    assert sorted(span["operationName"] for span in trace["spans"]) == sorted(names.splitlines())
    # The port of the default endpoint may be in use; an endpoint that is set is printed as it is.
    assert begun.strip() in terminal.screen.replace(endpoint, "the collector at localhost:4317")


def test_kubernetes(service, otlp_receiver):
    """The image's command with the Deployment's environment logs the lines of the page and exports the error."""
    yaml = pytest.importorskip("yaml")
    deployment = yaml.safe_load(of("Kubernetes", "yaml")[0])
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    environ = {each["name"]: each["value"] for each in container["env"]}
    address = environ["OTEL_EXPORTER_OTLP_ENDPOINT"].removeprefix("http://")
    environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = otlp_receiver.grpc_endpoint
    command = json.loads(re.search(r"^CMD (.+)$", of("Kubernetes", "dockerfile")[0], re.MULTILINE)[1])
    assert " ".join(command).startswith(f"{RUN} ")
    command[-1] = "127.0.0.1"  # no test listens on every interface
    port = free_port()
    server = subprocess.Popen(
        [*command, "--port", str(port)],
        cwd=service,
        env=environment(**environ),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert get(port, "/items/3") == "Internal Server Error"
    finally:
        server.terminate()
        output, _ = server.communicate(timeout=LIMIT_S)
    logged = {line["message"]: line for line in map(json.loads, output.splitlines())}
    receiver = otlp_receiver.grpc_endpoint.removeprefix("http://")
    for wanted in map(json.loads, of("Kubernetes", "json")[0].splitlines()):
        line = logged[wanted["message"].replace(address, receiver)]
        assert list(line) == list(wanted)
        assert line.get("labels") == wanted.get("labels")
    assert sorted(span.name for span in otlp_receiver.spans) == sorted(of("Jaeger", "text")[1].splitlines())


@pytest.mark.parametrize("command", ["eco2-tracing run uvicorn app:app", "uvicorn app:app"])
def test_the_readme(command, tmp_path):
    """Its three lines and its commands print a trace for each request."""
    pytest.importorskip("uvicorn")
    readme = blocks((ROOT / "README.md").read_text())
    (program,) = [block.text for block in readme if block.kind == "python"]
    exporter = "" if command.startswith("eco2-tracing") else "OTEL_TRACES_EXPORTER=waterfall "
    assert f"$ {exporter}{command}\n" in [block.text for block in readme]
    (tmp_path / "app.py").write_text(program)
    port = free_port()
    with served(tmp_path, port, command, OTEL_TRACES_EXPORTER="waterfall") as terminal:
        assert get(port, "/") == '{"detail":"Not Found"}'
        terminal.wait_for(r"\d ms +[0-9a-f]{32}")
    assert "Traceback" not in terminal.screen


def test_every_block_belongs_to_a_step():
    """The steps are those that the tests above run."""
    assert list(dict.fromkeys(block.step for block in blocks(PAGE))) == [
        "Install",
        "The first trace",
        "A query and a log line",
        "An error",
        "Jaeger",
        "Kubernetes",
    ]
    assert blocks("## 1. A step\n```text\na\n```\n") == [Block("A step", "text", "a\n")]
    assert not shown(["a", "b"], ["b", "a"])
    assert not together(["a", "b"], ["a", "c", "b"])
