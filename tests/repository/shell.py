"""Runs the shell blocks of a page, in order and in one folder.

A server's command is started on a free port and ended at the next one, or at the end of the page. `curl` asks the
server that runs. `uvicorn shop:app` serves the last Python block above it with an `app`, else the first one below, else
the example of that name, else an application without routes. What cannot run without a network or another program is
in `NOT_RUN`, with the reason.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from eco2_tracing._cli import _parser
from tests.repository.snippets import SHELLS, Block, blocks
from tests.repository.sources import PYPROJECT, ROOT
from tests.support import programs
from tests.support.gunicorn import wait_for_workers
from tests.support.servers import answers, free_port

LIMIT_S = 60
END_S = 3
NETWORK = "installs from a package registry"
NOT_RUN = {
    "apt-get": NETWORK,
    "docker": "needs a Docker daemon and images",
    "git clone": "needs the network",
    "go": NETWORK,
    "helm": "needs a cluster",
    "istioctl": "needs a cluster",
    "kubectl": "needs a cluster",
    "nox": NETWORK,
    "npm": NETWORK,
    "pip": NETWORK,
    "pytest": "is the suite itself",
    "python -m benchmarks": "takes minutes",
    "python benchmarks/": "takes minutes",
    "python -m pip": NETWORK,
    "python -m pytest": "is the suite itself",
    "python -m tests": "is the suite itself",
    "python -m venv": NETWORK,
    "python3.11 -m venv": NETWORK,
    "tar": "unpacks a download",
    ". .venv/bin/activate": "the tests' environment is active",
    ". PATH-OF-YOUR-SERVICE": "the tests' environment is active",
}
"""Why commands are not run, by their first words."""
PORT_OPTIONS = {
    "fastapi": "--port",
    "granian": "--port",
    "gunicorn": "--bind",
    "hypercorn": "--bind",
    "uvicorn": "--port",
    "uwsgi": "--http",
}
HERE = "127.0.0.1"
EMPTY = "from fastapi import FastAPI\n\n{} = FastAPI()\n"
TARGET = re.compile(r"^(?:app=)?([a-zA-Z_][\w.]*):([a-zA-Z_]\w*)(?:\(\))?$")


def commands(block: Block) -> Iterator[str]:
    """The commands of a block: the lines after prompts, else all; a backslash joins two lines."""
    text = block.text.replace("\\\n", " ")
    lines = text.splitlines()
    prompted = [line[2:] for line in lines if line.startswith(("$ ", "# "))]
    if block.kind == "console" and prompted:
        yield from (line for line in prompted if not line.startswith("#"))
    elif re.search(r"<<|^ ", text, re.MULTILINE):
        yield text  # a document of several lines
    else:
        yield from (line for line in lines if line.strip() and not line.startswith("#"))


def reason(command: str) -> str:
    """Why a command is not run; empty if it is."""
    words = command.split()
    while words and re.fullmatch(r"[A-Z_0-9]+=\S*|sudo", words[0]):
        words.pop(0)
    plain = re.sub(r"^\S*/bin/", "", " ".join(words))
    return next(
        (
            why
            for start, why in NOT_RUN.items()
            if (plain + " ").startswith((start + " ", start + ".", start + "/"))
        ),
        "",
    )


def wrong_extras(command: str) -> set[str]:
    """The extras that a command installs and that do not exist."""
    found = re.findall(r"(?:eco2-tracing|'\.|\"\.|/eco2-tracing)\[([\w,-]+)\]", command)
    extras = {extra for each in found for extra in each.split(",")}
    return extras - set(PYPROJECT["project"]["optional-dependencies"])


class Page:
    """A page whose commands are run.

    Args:
        folder: An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {
            key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "ECO2_"))
        }
        self.environ |= {
            "OTEL_TRACES_EXPORTER": "none",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "examples"),
            "no_proxy": "*",
        }
        self.server: programs.Process | None = None
        self.port = 0
        self.above: list[str] = []
        self.below: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.stop()

    def run(self, text: str) -> list[str]:
        """Run the shell blocks of a page; return the commands that ran."""
        ran: list[str] = []
        self.below = [block.text for block in blocks(text) if block.kind == "python"]
        for block in blocks(text):
            if block.file:
                path = self.folder / block.file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text, encoding="utf-8")
            if block.kind == "python":
                self.above.insert(0, self.below.pop(0))
            if block.kind in SHELLS and not block.not_run:
                ran += [command for command in commands(block) if self._run(command, block)]
        return ran

    def _run(self, command: str, block: Block) -> bool:
        where = f"line {block.line}: {command}"
        assert not wrong_extras(command), f"{where}: there is no such extra"
        if reason(command):
            return False
        words = shlex.split(command, comments=True)
        program = next((word for word in words if not re.fullmatch(r"[A-Z_0-9]+=.*", word)), "")
        if program == "export" or not program:
            self.environ.update(word.split("=", 1) for word in words if "=" in word)
        elif program == "eco2-tracing" and words[words.index(program) + 1 :][:1] != ["run"]:
            _parser().parse_args(words[words.index(program) + 1 :])  # what they do is tested elsewhere
        elif any(word in PORT_OPTIONS for word in words):
            self._serve(words, where)
        else:
            self._shell(command, where)
        return True

    def _shell(self, command: str, where: str) -> None:
        if command.startswith("curl ") and shutil.which("curl") is None:
            pytest.skip("no command curl on PATH")
        command = re.sub(r"\b(?:localhost|127\.0\.0\.1):8\d{3}\b", f"{HERE}:{self.port}", command)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, f"{where}\n{done.stdout}{done.stderr}"

    def _serve(self, words: list[str], where: str) -> None:
        self.stop()
        self.port = free_port()
        environ = dict(self.environ)
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            environ[name] = value
        if shutil.which(words[0], path=self.environ["PATH"]) is None:
            pytest.skip(f"no command {words[0]} on PATH")
        self._write_module(words)
        with (self.folder / "server.log").open("w") as log:
            self.server = programs.start(
                bound(words, self.port),
                cwd=self.folder,
                env=environ,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        ready, end = answers(self.port), time.monotonic() + LIMIT_S
        while not ready():
            printed = (self.folder / "server.log").read_text()
            assert self.server.poll() is None, f"{where}\n{printed}"
            assert time.monotonic() < end, f"{where}\n{printed}"
            time.sleep(0.02)

    def _write_module(self, words: list[str]) -> None:
        """Write the module that a server's command names, unless there is one."""
        for word in words:
            target = TARGET.match(word)
            path = self.folder / f"{target[1].replace('.', '/')}.py" if target else None
            if target is None or path is None or path.exists():
                continue
            defines = re.compile(rf"^(?:{target[2]} *=|(?:async )?def {target[2]}\b)", re.MULTILINE)
            programs = [text for text in (*self.above, *self.below) if defines.search(text)]
            if programs or not (ROOT / "examples" / f"{target[1]}.py").exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text((*programs, EMPTY.format(target[2]))[0], encoding="utf-8")

    def stop(self) -> None:
        """End the server that runs."""
        if self.server is not None:
            wait_for_workers(self.server)
            # uWSGI reloads at SIGTERM
            self.server.send_signal(signal.SIGINT if "uwsgi" in self.server.args else signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.server.wait(END_S)
            with suppress(ProcessLookupError):
                os.killpg(self.server.pid, signal.SIGKILL)
            self.server.wait()
            self.server = None


def bound(words: list[str], port: int) -> list[str]:
    """The command of a server that listens on this port of this machine alone."""
    program = next(word for word in words if word in PORT_OPTIONS)
    option = PORT_OPTIONS[program]
    value = str(port) if option == "--port" else f"{HERE}:{port}"
    kept: list[str] = []
    rest = iter(word for word in words if word != "--reload")
    for word in rest:
        if word in {option, "-b", "--host"}:
            next(rest)
        elif not word.startswith((f"{option}=", "--host=")):
            kept.append(word)
    return [*kept, option, value]
