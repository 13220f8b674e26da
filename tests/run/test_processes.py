"""How `eco2-tracing run` gets into processes, and how it stays out of others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from eco2_tracing._cli.run import _FOLDER

BIN = Path(sys.executable).parent
COMMAND = str(BIN / "eco2-tracing")


def environment(**more: str) -> dict[str, str]:
    """The environment of this process, without the variables of tracing."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "ECO2_"))}
    return inherited | {"OTEL_TRACES_EXPORTER": "none"} | more


def run(*command: str, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command below `eco2-tracing run`."""
    return subprocess.run(
        [COMMAND, "run", *command],
        env=environment(**more),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def start(code: str, cwd: Path, **more: str) -> subprocess.Popen[str]:
    """Start a program of Python below `eco2-tracing run`."""
    (cwd / "program.py").write_text(code)
    return subprocess.Popen(
        [COMMAND, "run", "python", "program.py"],
        env=environment(**more),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


QUIET = """
import os, sys
names = ("eco2_tracing", "fastapi", "opentelemetry")
print(os.getpid(), sorted(name for name in sys.modules if name.startswith(names)))
print([each for each in sys.path if "_run" in each])
"""


def test_a_process_without_fastapi(tmp_path):
    """It is the process that was started, imports next to nothing, and its path is its own."""
    process = start(QUIET, tmp_path)
    out, err = process.communicate(timeout=60)
    first, second = out.splitlines()
    inner = ["_early", "_run", "_run.imports", "_run.start"]
    assert first == f"{process.pid} {['eco2_tracing', *(f'eco2_tracing.{each}' for each in inner)]}", err
    assert second == "[]"


JOB = """
import sys
import SOMETHING
from eco2_tracing import span, tracing_status

with span("job"):
    pass
print(tracing_status().enabled, sys.modules["fastapi"] is __import__("fastapi"))
import fastapi
print(fastapi.routing.APIRouter.__name__)
"""


@pytest.mark.parametrize("module", ["requests", "json"])
def test_a_job_is_traced(tmp_path, module):
    """A program without an application: from the import of a traced library, or of this library's own spans."""
    out, err = start(JOB.replace("SOMETHING", module), tmp_path).communicate(timeout=60)
    assert out.splitlines()[-2:] == ["True True", "APIRouter"], err


def test_signals_and_exit_codes_are_the_commands(tmp_path):
    """The code of a program, and the signal that killed it."""
    assert run("python", "-c", "raise SystemExit(7)").returncode == 7
    assert run("python", "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)").returncode == -9
    failed = run("nosuch")
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr == "eco2-tracing run: command not found: nosuch\n"


def test_a_sitecustomize_that_exists_runs(tmp_path):
    """Of the user or the distribution; it may fail as it would without the command, and there may be none."""
    (tmp_path / "sitecustomize.py").write_text("print('theirs')\n")
    code = "import sitecustomize; print(sitecustomize.__file__)"
    done = run("python", "-c", code, PYTHONPATH=str(tmp_path))
    # Once in the command's own process, which is Python too, and once in that of the program.
    assert done.stdout == f"theirs\ntheirs\n{tmp_path / 'sitecustomize.py'}\n"
    (tmp_path / "sitecustomize.py").write_text("1 / 0\n")
    done = run("python", "-c", "print('goes on')", PYTHONPATH=str(tmp_path))
    assert done.stdout == "goes on\n"
    assert "Error in sitecustomize" in done.stderr
    assert "ZeroDivisionError" in done.stderr


CHILDREN = """
import json, os, subprocess, sys
from fastapi import FastAPI

def child():
    code = "import json, os, sys; print(json.dumps([os.environ.get('PYTHONPATH'), 'eco2_tracing' in sys.modules, "
    code += "[name for name in os.environ if 'ECO2_TRACING_RUN' in name]]))"
    return json.loads(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout)

before = child()
app = FastAPI()
print("children", json.dumps([before, child()]))
"""


def test_what_an_application_starts_is_not_touched(tmp_path):
    """Before there is an application, a process may be the server; afterwards it has the environment as it was."""
    out, err = start(CHILDREN, tmp_path, PYTHONPATH=str(tmp_path)).communicate(timeout=60)
    before, after = json.loads(out.rpartition("children ")[2])
    assert before[:2] == [f"{_FOLDER}{os.pathsep}{tmp_path}", True], err
    assert after == [str(tmp_path), False, []]


WORKERS = """
import multiprocessing

from fastapi import FastAPI

app = FastAPI()

def work():
    import os, sys
    print("worker", "eco2_tracing._run.imports" in sys.modules)

if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=work)
    process.start()
    process.join()
"""


def test_workers_of_an_application_are_servers_too(tmp_path):
    """As those of a script that serves with several workers."""
    out, err = start(WORKERS, tmp_path).communicate(timeout=60)
    assert "worker True" in out, err


def test_the_successor_of_gunicorn_is_a_server(tmp_path):
    """Gunicorn replaces itself at SIGUSR2 by a child that it starts after its application was loaded."""
    code = "import os, sys; print('eco2_tracing' in sys.modules)"
    environ = environment(
        PYTHONPATH=_FOLDER, _ECO2_TRACING_RUN="logging", _ECO2_TRACING_RUN_APP="1", GUNICORN_PID="1"
    )
    for expected in ("True", "False"):
        done = subprocess.run(
            [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == expected
        environ.pop("GUNICORN_PID", None)


@pytest.fixture(scope="module")
def other_python(tmp_path_factory):
    """The Python of a virtual environment that does not have this library."""
    folder = tmp_path_factory.mktemp("other")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder / "bin" / "python"


def test_another_environment(other_python, tmp_path):
    """A program of it is refused before it starts; a server that a launcher starts there says why it has no traces."""
    refused = run(str(other_python), "-c", "1")
    assert refused.returncode == 2
    assert f"eco2-tracing is not installed for {other_python}" in refused.stderr
    server = tmp_path / "uvicorn"
    server.write_text("print('served')\n")
    done = run("env", str(other_python), str(server))
    assert done.stdout == "served\n"
    assert f"no traces, because eco2-tracing is not installed for {other_python}" in done.stderr
    done = run("env", str(other_python), "-c", "print('something else')")
    assert (done.stdout, done.stderr) == ("something else\n", "")


LOGGING = """
import logging, logging.config, sys
FORMAT = "mine %(message)s"
DICT = {"version": 1, "disable_existing_loggers": False,
        "formatters": {"mine": {"format": FORMAT}},
        "handlers": {"mine": {"class": "logging.StreamHandler", "formatter": "mine", "stream": "ext://sys.stdout"}}}
def root(): logging.config.dictConfig(DICT | {"root": {"handlers": ["mine"], "level": "INFO"}})
ACCESS = {"uvicorn.access": {"handlers": ["mine"], "level": "INFO", "propagate": False}}
def server(): logging.config.dictConfig(DICT | {"loggers": ACCESS})
def basic(): logging.basicConfig(level="INFO", stream=sys.stdout)
def own(): logging.basicConfig(level="INFO", stream=sys.stdout, format=FORMAT)
def nothing(): pass
steps = {step.__name__: step for step in (root, server, basic, own, nothing)}
steps[sys.argv[1]]()
import uvicorn
uvicorn.Config("x:app")  # uvicorn configures its own loggers
steps[sys.argv[2]]()
logging.getLogger("shop").info("hello")
logging.getLogger("uvicorn.access").info("%s %s %s %s %s", "1:1", "GET", "/", "1.1", 200)
"""


@pytest.mark.parametrize(
    ("before", "after", "shop", "server"),
    [
        ("nothing", "nothing", "ours", "ours"),
        ("basic", "nothing", "ours", "ours"),
        ("nothing", "basic", "ours", "ours"),
        ("own", "nothing", "mine", "uvicorn's"),
        ("root", "nothing", "mine", "uvicorn's"),
        ("nothing", "root", "mine", "mine"),
        ("nothing", "server", "ours", "mine"),
    ],
)
def test_logging_that_is_configured_is_left_to_work(tmp_path, before, after, shop, server):
    """By the server's options or the application; what nobody configured is formatted by this library."""
    (tmp_path / "program.py").write_text(LOGGING)
    done = run("python", "program.py", before, after, cwd=tmp_path)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "hello" in line or "GET" in line]
    assert len(lines) == 2, done
    for line, whose in zip(sorted(lines, key=lambda line: "GET" in line), (shop, server), strict=True):
        found = "mine" if line.startswith("mine ") else "ours" if line.startswith("{") else "uvicorn's"
        assert found == whose, lines


def test_logging_that_is_to_be_left_alone(tmp_path):
    """`--no-logging`."""
    (tmp_path / "program.py").write_text(LOGGING)
    done = run("--no-logging", "python", "program.py", "own", "nothing", cwd=tmp_path)
    assert "mine hello" in done.stdout
    assert "{" not in done.stdout
