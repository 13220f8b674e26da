"""The command line of `eco2-tracing run`: programs, names, options, and what it says when it cannot run."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from eco2_tracing._cli import main, run
from eco2_tracing._cli.names import service_name
from eco2_tracing._cli.programs import CommandError, program_of
from eco2_tracing._cli.terminals import answers, choose_for_terminal
from tests.support.servers import free_port

HERE = {"PATH": "/nowhere"}


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Write an executable file; it is found, and so is what stands beside this Python."""
    monkeypatch.setattr(sys, "prefix", "/a/virtual/environment")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    def write(name: str, text: str, mode: int = 0o755) -> Path:
        path = tmp_path / name
        path.write_text(text)
        path.chmod(mode)
        return path

    return write


@pytest.mark.parametrize(
    ("command", "folder", "name"),
    [
        ("uvicorn shop.main:app", "/srv/x", "shop"),
        ("uvicorn --host localhost:8000 --factory shop.web.main:create_app", "/srv/x", "shop"),
        ("uvicorn main:app", "/srv/shop", "shop"),
        ("uvicorn app.main:app", "/app", "app"),
        ("gunicorn -b unix:/tmp/s -b 127.0.0.1:80 -k uvicorn_worker.UvicornWorker shop:app", "/srv", "shop"),
        ("gunicorn -c conf.py", "/srv/shop", "conf"),
        ("gunicorn", "/srv/shop", "shop"),
        ("/venv/bin/granian --interface asgi app:app", "/srv/shop", "shop"),
        ("python -m shop.server --port 1", "/srv/x", "shop"),
        ("python -m uvicorn shop:app", "/srv/x", "shop"),
        ("python3.12 -u shop.py", "/srv/x", "shop"),
        ("python shop/main.py", "/srv/x", "shop"),
        ("fastapi dev shop/main.py", "/srv/x", "shop"),
        ("fastapi run", "/srv/shop", "shop"),
        ("/venv/bin/shop-server --port 1", "/srv/x", "shop-server"),
        ("python -m main", "/", "main"),
        ("python -c x", "/", "app"),
    ],
)
def test_a_service_is_named_by_its_command(command, folder, name):
    """The package or script, else the working directory; never a word that every service has."""
    assert service_name(command.split(), folder) == name


def test_a_program_is_found(program, tmp_path):
    """Beside this Python, on PATH, as a script of pip with a long path, by `env`, and launchers of Python."""
    assert program_of(["python", "-c", "1"], HERE) == str(Path(sys.executable).parent / "python")
    environ = {"PATH": str(tmp_path)}
    for name, text in {
        "plain": f"#!{sys.executable}\n",
        "unbuffered": f"#!{sys.executable} -u\n",
        "long": f'#!/bin/sh\n\'\'\'exec\' "{sys.executable}" "$0" "$@"\n',
        "by-env": "#!/usr/bin/env -S python3 -u\n",
        "start.sh": "#!/bin/bash\nexec uvicorn app:app\n",
        "uv": "\x7fELF",
    }.items():
        path = program(name, text)
        environ = {"PATH": f"{tmp_path}{os.pathsep}{Path(sys.executable).parent}"}
        assert program_of([name], environ) == str(path)


@pytest.mark.parametrize(
    ("arguments", "is_target"),
    [
        ("-W error -X dev -u -c print(1)", False),
        ("-Wignore -Xdev --version", False),
        ("-um json.tool", True),
        ("-mjson", True),
        ("--check-hash-based-pycs always -", False),
        ("-V", False),
    ],
)
def test_options_of_python_are_read(arguments, is_target):
    """Those with a value, several in one, and a program on the command line."""
    assert program_of(["python", *arguments.split()], HERE)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ([], "it needs a command, for example: eco2-tracing run uvicorn main:app"),
        (["nosuch"], "command not found: nosuch"),
        (
            ["app:app"],
            "app:app is an application, not a command; name its server: eco2-tracing run uvicorn app:app",
        ),
        (["python", "-m", "nosuch.x"], "module not found: nosuch; "),
        (["python", "-m"], "module not found: ; "),
        (["python", "nosuch.py"], "file not found: nosuch.py"),
        (["python", "-I", "x.py"], "python runs as python -I, which ignores"),
        (["python", "-sE", "-m", "x"], "python runs as python -E, which ignores"),
        (["binary"], "binary is not a Python command ("),
        (["script"], "is a program of /usr/bin/perl); for example: eco2-tracing run uvicorn main:app"),
        (["isolated"], "isolated runs as python -I"),
        (["empty"], "empty is not a Python command ("),
        (["elsewhere"], "/nowhere/python cannot run: No such"),
    ],
)
def test_what_cannot_run_is_named(program, tmp_path, command, message):
    """In one sentence, with what to do."""
    for name, text in {
        "binary": "\x7fELF",
        "script": "#!/usr/bin/perl\n",
        "isolated": f"#!{sys.executable} -I\n",
        "empty": "#!/usr/bin/env\n",
        "elsewhere": "#!/nowhere/python\n",
    }.items():
        program(name, text)
    with pytest.raises(CommandError) as raised:
        program_of(command, {"PATH": str(tmp_path)})
    assert message in str(raised.value)


def test_files_that_cannot_be_executed(program, tmp_path):
    """A script and a program, each with what to do."""
    for name, cure in {"app.py": "eco2-tracing run python {}", "start": "chmod +x {}"}.items():
        path = program(name, "", 0o644)
        with pytest.raises(
            CommandError, match=f"cannot be executed: {cure.format(path)}".replace("+", r"\+")
        ):
            program_of([str(path)], HERE)


def test_a_program_that_cannot_be_read(program, monkeypatch, tmp_path):
    """It may be executed all the same; it counts as no Python program."""
    path = program("secret", "#!/usr/bin/python3\n")
    monkeypatch.setattr("builtins.open", lambda *_: (_ for _ in ()).throw(PermissionError))
    with pytest.raises(CommandError, match="is no Python program"):
        program_of([str(path)], HERE)


def test_another_python_without_this_library(program, tmp_path):
    """The line names it, and how to install the library there; with it, the program runs."""
    without = program("python3", "#!/bin/sh\nexit 1\n")
    with pytest.raises(CommandError, match=f"{without} -m pip install eco2-tracing"):
        program_of([str(without)], HERE)
    with_it = program("python3", "#!/bin/sh\nexit 0\n")
    assert program_of([str(with_it)], HERE) == str(with_it)


def test_outside_a_virtual_environment(program, monkeypatch, tmp_path):
    """PATH alone says where programs are."""
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    with pytest.raises(CommandError, match="command not found"):
        program_of(["python"], HERE)


def test_the_process_becomes_the_command(monkeypatch, tmp_path):
    """With the options as variables, its own folder first on PYTHONPATH, and other folders kept."""
    became = []
    monkeypatch.setattr(os, "execve", lambda *arguments: became.append(arguments))
    monkeypatch.setenv("PYTHONPATH", f"{run._FOLDER}{os.pathsep}/mine")
    monkeypatch.setenv("_ECO2_TRACING_RUN_APP", "1")
    options = "--service-name shop --exporter none --endpoint http://c:1 --log-format text --no-logging --"
    assert main(["run", *options.split(), "python", "-c", "1", "--reload"]) == 2
    ((program, arguments, environ),) = became
    assert arguments == [program, "-c", "1", "--reload"]
    assert environ["PYTHONPATH"] == f"{run._FOLDER}{os.pathsep}/mine"
    names = [
        "OTEL_SERVICE_NAME",
        "OTEL_TRACES_EXPORTER",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "ECO2_TRACING_LOG_FORMAT",
    ]
    assert [environ[name] for name in names] == ["shop", "none", "http://c:1", "text"]
    assert environ["_ECO2_TRACING_RUN"] == "no-logging"
    assert "_ECO2_TRACING_RUN_APP" not in environ
    assert Path(run._FOLDER, "sitecustomize.py").is_file()


def test_a_command_that_cannot_run_is_code_2(monkeypatch, capsys):
    """One line on stderr, without a traceback."""
    assert main(["run", "nosuch"]) == 2
    assert capsys.readouterr().err == "eco2-tracing run: command not found: nosuch\n"

    def fail(*_arguments):
        raise PermissionError(13, "Permission denied", "python")

    monkeypatch.setattr(os, "execve", fail)
    assert main(["run", "python", "-c", "1"]) == 2
    assert capsys.readouterr().err == "eco2-tracing run: [Errno 13] Permission denied: 'python'\n"


def test_the_start_up_line_on_a_terminal(monkeypatch, capsys):
    """It is written by the command, before it becomes the server."""
    monkeypatch.setattr(os, "execve", lambda *_: None)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    main(["run", "--exporter", "none", "python", "-m", "json"])
    assert capsys.readouterr().err == "eco2-tracing: tracing json with OTEL_TRACES_EXPORTER=none\n"


@pytest.mark.parametrize(
    ("environ", "listening", "line", "changed"),
    [
        ({}, [], "tracing shop here, because no collector answers at localhost:4317 (", "waterfall"),
        ({"OTEL_SERVICE_NAME": "web"}, [4317], "tracing web to the collector at localhost:4317", None),
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
            [4318],
            "to the collector at localhost:4318",
            None,
        ),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, [], "to the collector at localhost:4317", "otlp"),
        ({"OTEL_TRACES_EXPORTER": "console"}, [], "with OTEL_TRACES_EXPORTER=console", "console"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://u:p@c:4317/token"}, [], "to http://c:4317", None),
        ({"OTEL_SDK_DISABLED": "True"}, [], "tracing is switched off by OTEL_SDK_DISABLED", None),
    ],
)
def test_the_choice_on_a_terminal(environ, listening, line, changed):
    """The waterfall only where nobody chose an exporter or an endpoint, and nothing listens at the default one."""
    found = choose_for_terminal(environ, "shop", logging=True, answers=listening.__contains__)
    assert found.startswith("eco2-tracing: tracing ")
    assert line in found
    assert environ.get("OTEL_TRACES_EXPORTER") == changed
    assert environ["_ECO2_TRACING_RUN_LOG_FORMAT"] == "auto"


def test_logging_that_is_left_alone_has_no_format():
    """`--no-logging`."""
    environ: dict[str, str] = {}
    choose_for_terminal(environ, "shop", logging=False, answers=lambda port: True)
    assert environ == {}


def test_whether_a_collector_answers():
    """On either loopback address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert answers(listening.getsockname()[1])
    assert not answers(free_port())
