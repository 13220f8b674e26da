"""Waterfalls of real servers, on pseudo-terminals and in pipes."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx2
import pytest

from eco2_tracing._console.terminal import cells
from tests.support import programs
from tests.support.gunicorn import wait_for_workers
from tests.support.servers import free_port

SGR = re.compile(r"\x1b\[[0-9;]*m")
LINK = re.compile(r"\x1b\]8;;([^\x1b]*)\x1b\\")
START = re.compile(r"\d\d:\d\d:\d\d\.\d{3} ")
LIMIT_S = 30
UVICORN = ["-m", "uvicorn", "tests.waterfall.shop:app", "--no-access-log", "--port"]
GUNICORN = [
    "-m", "gunicorn", "tests.waterfall.shop:app", "--workers", "3", "-k", "uvicorn_worker.UvicornWorker", "-b",
]  # fmt: skip


class Output:
    """What a server has written to its terminal or pipe.

    Args:
        descriptor: The end to read from.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._data = bytearray()
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._descriptor, 65536)
            except OSError:  # the terminal was closed at the other end
                data = b""
            with self._changed:
                self._data += data
                self._ended = not data
                self._changed.notify_all()
            if not data:
                return

    @property
    def text(self) -> str:
        """The text so far, with the line ends of a file, and without a character whose last bytes are to come."""
        return codecs.getincrementaldecoder("utf-8")().decode(bytes(self._data)).replace("\r\n", "\n")

    def wait_for(self, condition) -> str:
        """Wait until the text satisfies a condition; return it.

        The condition is evaluated without the lock. A server whose pipe is not read would write parts of lines.
        """
        end, seen, has_ended = time.monotonic() + LIMIT_S, -1, False
        while not condition(text := self.text):
            assert not has_ended, text
            with self._changed:
                left = max(0.0, end - time.monotonic())
                assert self._changed.wait_for(
                    lambda seen=seen: len(self._data) != seen or self._ended, left
                ), text
                seen, has_ended = len(self._data), self._ended
        return text


@contextmanager
def serving(arguments, width=None, **variables):
    """Run a server on a terminal of so many columns, or in a pipe; yield its address and its output."""
    port = free_port()
    arguments = [*arguments, f"127.0.0.1:{port}" if "gunicorn" in arguments else str(port)]
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "ECO2_"))}
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        environ.pop(name, None)
    environ |= {
        "OTEL_TRACES_EXPORTER": "waterfall",
        "ECO2_TRACING_SLOW_THRESHOLD_MS": "60000",
        "TERM": "xterm-256color",
        **variables,
    }
    if width is None:
        reads, writes = os.pipe()
    else:
        reads, writes = pty.openpty()
        fcntl.ioctl(writes, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    command = [sys.executable, *arguments]
    with os.fdopen(writes, "wb") as out:
        process = programs.start(command, env=environ, stdout=out, stderr=out, start_new_session=True)
    output = Output(reads)
    try:
        wait_until_it_answers(port, process, output)
        yield f"http://127.0.0.1:{port}", output
    finally:
        wait_for_workers(process)
        process.send_signal(signal.SIGTERM)
        process.wait(LIMIT_S)
        output._thread.join(LIMIT_S)
        os.close(reads)


def wait_until_it_answers(port, process, output) -> None:
    """Wait for the first response."""
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        assert process.poll() is None, output.text
        try:
            httpx2.get(f"http://127.0.0.1:{port}/health")
        except httpx2.TransportError:
            select.select([], [], [], 0.05)
        else:
            return
    raise AssertionError(output.text)


def plain(text: str) -> list[str]:
    """The lines without styles and links."""
    return LINK.sub("", SGR.sub("", text)).splitlines()


def has_command(text: str) -> bool:
    """Whether the last line of a tree has been printed."""
    return re.search(r"curl '?http", text) is not None and text.endswith("\n")


def lines_with(output, part):
    """Wait for a line; return all that have the part."""
    text = output.wait_for(lambda text: part in text and text.endswith("\n"))
    return [line for line in text.splitlines() if part in line]


def test_terminal():
    """One line with colours and a link for what went well, the tree for what failed, late spans when they end."""
    with serving(
        UVICORN, 110, ECO2_TRACING_LOG_FORMAT="auto", ECO2_TRACING_TRACE_URL="http://127.0.0.1:1"
    ) as (
        url,
        output,
    ):
        httpx2.get(f"{url}/characters")
        (line,) = lines_with(output, "/characters")
        assert SGR.search(line)
        (target, _end) = LINK.findall(line)
        assert re.fullmatch(r"http://127\.0\.0\.1:1/trace/[0-9a-f]{32}", target)
        assert "12 sql  12 \N{MULTIPLICATION SIGN} SELECT characters (N+1?)" in plain(line)[0]
        httpx2.get(f"{url}/later")
        assert lines_with(output, "… send mail")
        httpx2.get(f"{url}/fail/7?token=planted")
        output.wait_for(has_command)
    lines = plain(output.text)
    assert any(re.match(START.pattern + r"INFO    shop  step 3 of request 7", line) for line in lines)
    assert any(line.startswith("  RuntimeError: request 7 failed: password=REDACTED") for line in lines)
    assert any("kept: error" in line for line in lines)
    assert any(line.endswith("/fail/7?token=REDACTED'") for line in lines if "curl" in line)
    assert "planted" not in output.text


@pytest.mark.parametrize(("width", "columns"), [(24, None), (50, None), (80, None), (300, "60")])
def test_widths(width, columns):
    """No line of a waterfall is wider than the terminal, but for the command, which must be whole."""
    variables = {} if columns is None else {"COLUMNS": columns}
    with serving(UVICORN, width, NO_COLOR="1", ECO2_TRACING_WATERFALL="tree", **variables) as (url, output):
        httpx2.get(f"{url}/characters")
        output.wait_for(has_command)
    assert "\x1b" not in output.text
    lines = [line for line in output.text.splitlines() if not line.startswith("{") and "curl" not in line]
    assert max(map(cells, lines)) <= int(columns or width)
    assert len(lines) > 12


@pytest.mark.parametrize(("variables", "coloured"), [({}, False), ({"FORCE_COLOR": "1"}, True)])
def test_pipe(variables, coloured):
    """Without colours unless they are forced, and without links; the id is whole."""
    with serving(UVICORN, **variables) as (url, output):
        httpx2.get(f"{url}/characters")
        (line,) = lines_with(output, "GET /characters ")
    assert ("\x1b" in line) is coloured
    assert re.search(r"[0-9a-f]{32}$", plain(line)[0])


def blocks(lines):
    """Group the lines of a waterfall: a first line with the time, and the indented ones below it."""
    found: list[list[str]] = []
    for line in lines:
        if START.match(line):
            found.append([line])
        elif found:
            found[-1].append(line)
    return found


@pytest.mark.parametrize("width", [100, None])
@pytest.mark.parametrize(
    "command", [GUNICORN, [*UVICORN[:-1], "--workers", "3", "--port"]], ids=["gunicorn", "uvicorn"]
)
def test_workers(command, width):
    """The traces and log lines of several processes never stand within a line of each other, nor within a tree."""
    count = 60
    with serving(command, width, NO_COLOR="1") as (url, output):
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(lambda number: httpx2.get(f"{url}/fail/{number}"), range(count)))
        text = output.wait_for(
            lambda text: (
                text.count("\n  curl ") == count
                and text.count('"message":"step ') == 20 * count
                and text.endswith("\n")
            )
        )
    lines = text.splitlines()
    logs = [line for line in lines if line.startswith("{")]
    assert all(line.endswith("}") for line in logs)
    steps = [re.search(r'"message":"step (\d+) of request (\d+)"', line) for line in logs]
    assert sum(found is not None for found in steps) == 20 * count
    trees = [
        block
        for block in blocks([line for line in lines if not line.startswith("{")])
        if "/fail/" in block[0]
    ]
    assert len(trees) == count
    for tree in trees:
        number = re.search(r"request (\d+)", "\n".join(tree))[1]
        assert set(re.findall(r"requests_(\d+)", "\n".join(tree))) == {number}
        assert sum("requests_" in line for line in tree[1:]) == 20
        assert sum(f"of request {number}" in line for line in tree) == 20
        assert "  kept: error" in tree
    if width is not None:
        # The kernel keeps the data of one call together on a terminal.
        whole = [block for block in blocks(lines) if "/fail/" in block[0]]
        assert [
            line for tree in whole for line in tree[: tree.index("  kept: error")] if line.startswith("{")
        ] == []


def test_reader_that_goes_away():
    """A closed pipe does not hurt requests."""
    with serving(UVICORN) as (url, output):
        os.dup2(os.open(os.devnull, os.O_RDONLY), output._descriptor)
        for number in range(3):
            assert httpx2.get(f"{url}/fail/{number}").status_code == 500
            assert httpx2.get(f"{url}/characters").status_code == 200
