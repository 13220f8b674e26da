"""Writing whole lines to terminals, pipes and files."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import select
import sys
import threading
import tty

import pytest

from eco2_tracing._export import stdout as module
from eco2_tracing._export.stdout import LineWriter

LONG = "".join(f"line {number} ━━━\n" for number in range(2000))


@pytest.fixture
def pipe():
    """The two ends of a pipe; the write end as a stream."""
    reads, writes = os.pipe()
    stream = os.fdopen(writes, "w", encoding="utf-8")
    yield reads, stream
    for close in (lambda: os.close(reads), stream.close):
        try:
            close()
        except OSError:
            pass


def read_all(descriptor, size):
    """Read so many bytes."""
    data = b""
    while len(data) < size:
        data += os.read(descriptor, 65536)
    return data


def calls_of(monkeypatch):
    """The data of each call of `write`."""
    calls = []

    def write(descriptor, data):
        calls.append(bytes(data))
        return os.write(descriptor, data)

    monkeypatch.setattr(module, "_write", write)
    return calls


def test_terminal_gets_one_call(monkeypatch):
    """Whatever the size."""
    calls = calls_of(monkeypatch)
    primary, secondary = pty.openpty()
    tty.setraw(secondary)
    got = []
    size = len(LONG.encode())
    reader = threading.Thread(target=lambda: got.append(read_all(primary, size)))
    reader.start()
    with os.fdopen(secondary, "w", encoding="utf-8") as stream:
        assert LineWriter(stream).write(LONG)
        reader.join()
    os.close(primary)
    assert got[0].decode() == LONG
    assert b"".join(calls).decode() == LONG
    assert calls[0] == LONG.encode()


def test_pipe_gets_pieces_of_whole_lines(pipe, monkeypatch):
    """Each is at most PIPE_BUF long, so that the kernel does not mix it with others."""
    calls = calls_of(monkeypatch)
    reads, stream = pipe
    assert LineWriter(stream).write(LONG[:2000] + "\n")
    assert len(calls) == 1
    os.read(reads, 65536)
    long_line = "x" * 5000 + "\n"
    text = LONG[: LONG.index("line 999")] + long_line + "last\n"
    assert LineWriter(stream).write(text)
    assert read_all(reads, len(text.encode())).decode() == text
    assert all(call.endswith(b"\n") for call in calls)
    assert [len(call) for call in calls if len(call) > select.PIPE_BUF] == [len(long_line)]


def test_pipe_without_locks(pipe, monkeypatch):
    """A system that has no locks for pipes gets the pieces nevertheless."""

    def refuse(*_):
        raise OSError

    monkeypatch.setattr(fcntl, "lockf", refuse)
    reads, stream = pipe
    assert LineWriter(stream).write(LONG[:9000] + "\n")
    assert os.read(reads, 65536).decode() == LONG[:9000] + "\n"


def test_broken_pipe_and_closed_stream(pipe):
    """Nothing is raised."""
    reads, stream = pipe
    os.close(reads)
    assert not LineWriter(stream).write("line\n")
    closed = io.StringIO()
    closed.close()
    assert not LineWriter(closed).write("line\n")
    assert not LineWriter(None).write("line\n")
    assert LineWriter(None).stream is None


def test_full_pipe_that_does_not_block(pipe, monkeypatch):
    """The writer waits for a while, then gives the rest up; the next text begins on a new line."""
    monkeypatch.setattr(module, "_PATIENCE_MS", 60)
    monkeypatch.setattr(module, "_STEP_MS", 20)
    reads, stream = pipe
    os.set_blocking(stream.fileno(), False)
    writer = LineWriter(stream)
    text = "x" * 1_000_000 + "\n"
    assert not writer.write(text)
    assert len(os.read(reads, 1_000_000)) < len(text)
    assert writer.write("next\n")
    assert os.read(reads, 100) == b"\nnext\n"
    writer.cancel()
    assert not writer.write(text)
    writer.renew()
    os.read(reads, 1_000_000)
    assert writer.write("again\n")
    assert os.read(reads, 100) == b"again\n"


def test_other_encodings(pipe):
    """Characters that the encoding lacks are replaced; lines and trees by their like in ASCII."""
    reads, stream = pipe
    stream.reconfigure(encoding="ascii")
    assert LineWriter(stream).write("├╴GET ━━╸ 캐릭터\n")
    assert os.read(reads, 100) == b"|-GET ==- ???\n"


def test_stream_without_a_descriptor(monkeypatch):
    """It is written to, as that of pytest."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    assert LineWriter(stream).write("line\n")
    assert stream.getvalue() == "line\n"
