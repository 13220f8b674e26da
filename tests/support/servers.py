"""Real servers for the tests that need one, each on a free port and as an unprivileged user.

Tests that need a program that is not on PATH are skipped; the reason names its package.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

START_S = 60.0


def command(name: str, debian: str) -> str:
    """The path of a program; skips if it is absent."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no command {name} on PATH; Debian has it in {debian}")
    return found


def _ports() -> Iterator[int]:
    """Ports below those that the system gives to connections; another thousand for each worker of the suite."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 16
    begin = secrets.randbelow(1000)
    while True:
        for number in range(1000):
            yield 16_000 + 1000 * worker + (begin + number) % 1000


_port = _ports()
_port_lock = threading.Lock()


def free_port() -> int:
    """A port that is not in use, and that no connection and no other worker takes before a server does."""
    with _port_lock:
        for port in _port:
            with socket.socket() as probe, suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise AssertionError


def unprivileged() -> str | None:
    """The user to run servers as; `None` is the current one, which is not root."""
    return None if os.geteuid() else "nobody"


@contextmanager
def folder() -> Iterator[Path]:
    """A folder of the unprivileged user, with a short name because paths of UNIX sockets are limited."""
    with tempfile.TemporaryDirectory(prefix="eco2-", ignore_cleanup_errors=True) as name:
        if (user := unprivileged()) is not None:
            os.chown(name, pwd.getpwnam(user).pw_uid, -1)
        yield Path(name)


@contextmanager
def running(
    arguments: Sequence[str],
    ready: Callable[[], bool],
    home: Path,
    environ: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """Run a server until the block ends.

    Args:
        arguments: Its command line.
        ready: Whether it answers.
        home: Its working folder; its output goes to ``log`` there.
        environ: Its whole environment; `None` is that of the tests.
    """
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            arguments, cwd=home, env=environ, stdout=log, stderr=log, user=unprivileged()
        )
        try:
            end = time.monotonic() + START_S
            while not ready():
                assert process.poll() is None, (home / "log").read_text()
                assert time.monotonic() < end, (home / "log").read_text()
                time.sleep(0.02)
            yield
        finally:
            process.terminate()
            process.wait(START_S)


def answers(port: int) -> Callable[[], bool]:
    """A check of whether a port accepts connections."""

    def check() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    return check
