"""Python programs in processes of their own, forked from one that has imported third-party packages already.

Importing takes longer than most programs work. FastAPI and OpenTelemetry's SDK are imported unless modules of
OpenTelemetry would read the program's environment. The commands of the virtual environment are forked, too. A program
runs in a new interpreter if its test is about imports, if the interpreter has options or variables of its own, or if
the system has no `os.pidfd_open`.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import IO, Any

from tests.support.measuring import VARIABLE

ROOT = Path(__file__).parents[2]


class _Zygote:
    """A process to fork from, started at the first use.

    Args:
        modules: What it imports.
    """

    def __init__(self, *modules: str) -> None:
        self.modules = modules
        self.lock = Lock()
        self.control: socket.socket | None = None

    def start(self) -> socket.socket:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "ECO2_"))
        }
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.zygote", *self.modules],
                cwd=ROOT,
                env=environ,
                stdin=theirs,
                start_new_session=True,  # the terminal's Ctrl-C is for the tests
            )
        atexit.register(self.stop, process, self.control)
        return self.control

    def stop(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        control.close()
        process.terminate()
        process.wait()

    def fork(self, told: Mapping[str, object], descriptors: Sequence[int]) -> None:
        with self.lock:
            socket.send_fds(self.control or self.start(), [json.dumps(told).encode()], descriptors)


_PLAIN = [
    "asyncio",
    "h2.connection",
    "orjson",
    "pydantic_settings",
    "starlette.applications",
    "uvicorn.server",
    "wrapt",
]
if sys.version_info < (3, 14):
    _PLAIN.append("pydantic.v1")  # FastAPI imports it with the first route
_SHEBANG = f"#!{sys.executable}\n".encode()
# What this library imports of the SDK, whose modules read no variable when they are imported.
_SDK = [
    "concurrent.futures.thread",
    "ctypes",
    "encodings.idna",
    "gzip",
    "opentelemetry.instrumentation.utils",
    "opentelemetry.sdk.resources",
    "opentelemetry.sdk.trace.export",
    "opentelemetry.semconv.attributes.error_attributes",
]
# By whether it has FastAPI and the SDK, and whether coverage measures what it runs.
_zygotes = {
    (has_fastapi, is_measured): _Zygote(*_PLAIN, *(("fastapi", *_SDK) if has_fastapi else ()))
    for has_fastapi in (False, True)
    for is_measured in (False, True)
}

# Variables that a forked program reads itself: `tests.support.zygote.enter`.
_OF_ZYGOTE = {"PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONWARNINGS"}


def _words(arguments: Sequence[str], environ: Mapping[str, str]) -> Sequence[str]:
    """What follows `python`; empty for what it does not run, and for its options."""
    if arguments[0] == sys.executable:
        return arguments[1:] if arguments[1] in {"-c", "-m"} or arguments[1].endswith(".py") else ()
    found = Path(shutil.which(arguments[0], path=environ.get("PATH")) or "")
    if found.parent != Path(sys.executable).parent or not found.read_bytes().startswith(_SHEBANG):
        return ()
    return (str(found), *arguments[1:])


def _zygote(environ: Mapping[str, str]) -> _Zygote | None:
    """The process from which a program can be forked."""
    if not hasattr(os, "pidfd_open"):
        return None
    ours = {name for name in environ.keys() | os.environ.keys() if name.startswith("PYTHON")} - _OF_ZYGOTE
    if any(environ.get(name) != os.environ.get(name) for name in ours):
        return None
    if any(
        Path(folder, "sitecustomize.py").exists()
        for folder in environ.get("PYTHONPATH", "").split(os.pathsep)
    ):
        return None
    early = any(name.startswith(("OTEL_PROPAGATORS", "OTEL_PYTHON_")) for name in environ)
    return _zygotes[not early, VARIABLE in os.environ]


class Forked:
    """A forked program, with the methods of `subprocess.Popen` that the tests use."""

    def __init__(
        self,
        zygote: _Zygote,
        arguments: Sequence[str],
        *,
        stdout: IO[Any],
        stderr: IO[Any],
        env: Mapping[str, str],
        cwd: str | Path,
        start_new_session: bool,
    ) -> None:
        self.args = arguments
        self.returncode: int | None = None
        report, theirs = os.pipe()
        self._report = os.fdopen(report)
        told = {
            "argv": _words(arguments, env),
            "env": dict(env),
            "cwd": str(cwd),
            "session": start_new_session,
        }
        with Path(os.devnull).open() as nothing:
            zygote.fork(told, [nothing.fileno(), stdout.fileno(), stderr.fileno(), theirs])
        os.close(theirs)
        self.pid = int(self._report.readline())

    def poll(self) -> int | None:
        """Return the exit status of a program that has ended."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit status, below zero a signal."""
        if self.returncode is None:
            if not select.select([self._report], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            with self._report:
                self.returncode = os.waitstatus_to_exitcode(int(self._report.readline()))
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the program has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


Process = Forked | subprocess.Popen[bytes]


def start(
    arguments: Sequence[str],
    *,
    stdout: IO[Any],
    stderr: IO[Any],
    env: Mapping[str, str],
    cwd: str | Path = ROOT,
    start_new_session: bool = False,
    new: bool = False,
) -> Process:
    """Start a program, as `subprocess.Popen` does; a `new` one in a process that has imported nothing."""
    zygote = None if new or not _words(arguments, env) else _zygote(env)
    how = subprocess.Popen[bytes] if zygote is None else partial(Forked, zygote)
    return how(arguments, stdout=stdout, stderr=stderr, env=env, cwd=cwd, start_new_session=start_new_session)


def run(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | Path = ROOT,
    timeout: float | None = None,
    start_new_session: bool = False,
    new: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, as `subprocess.run` does, with its output as text."""
    environ = os.environ if env is None else env
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        more = {"start_new_session": start_new_session, "new": new}
        process = start(arguments, stdout=out, stderr=err, env=environ, cwd=cwd, **more)
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
            process.wait()
        for stream in (out, err):
            stream.seek(0)
        return subprocess.CompletedProcess(arguments, code, out.read(), err.read())
