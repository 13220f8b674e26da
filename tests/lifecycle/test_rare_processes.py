"""Rare states of a process: a fork in C, an old kernel, warnings of our threads."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections import deque
from types import SimpleNamespace

import pytest

from eco2_tracing import _forks, _guard, _native
from eco2_tracing._export import SpanBatcher
from eco2_tracing._export.transport.racing import Candidate, Race
from tests.export.receivers import eventually
from tests.export.spans import make_span
from tests.tail_sampling.conftest import Local


class OldPage:
    """A page that the kernel does not clear in children."""

    def __init__(self, *arguments, **named):
        pass

    def madvise(self, advice):
        """Refuse the advice."""
        raise OSError(22, "Invalid argument")


def an_older_kernel(monkeypatch):
    """Make a mark where the kernel refuses."""
    old = SimpleNamespace(mmap=OldPage, PAGESIZE=4096, MAP_PRIVATE=2, MAP_ANONYMOUS=32)
    monkeypatch.setattr(_forks, "mmap", old)
    return _forks.make_mark(platform="linux")


@pytest.mark.parametrize("make", [lambda _: _forks.make_mark(platform="other"), an_older_kernel])
def test_without_a_page_the_process_id_tells(make, monkeypatch):
    """Without ``MADV_WIPEONFORK`` the mark is true only in the process that made it."""
    mark = make(monkeypatch)
    assert mark[0]
    pid = os.getpid()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: pid + 1)
        assert not mark[0]
    assert mark[0]


@pytest.fixture
def renewals(monkeypatch):
    """Count the calls of the hooks instead of running them."""
    counted = []
    monkeypatch.setattr(_forks._forks, "hooks", [lambda: counted.append("renewed")])
    yield counted
    _forks.mark[0] = 1


def test_a_hook_that_asks_renews_nothing_again(renewals):
    """A hook that calls `notice_fork` does not start the hooks again."""
    _forks._forks.hooks.append(_forks.notice_fork)
    _forks.mark[0] = 0
    _forks.notice_fork()
    assert renewals == ["renewed"]
    assert _forks.mark[0]


def test_a_hook_that_fails_keeps_none_from_running(renewals, monkeypatch, caplog):
    """A failing hook is logged, and the other hooks are called."""
    monkeypatch.setattr(_guard, "_reported", {})
    _forks._forks.hooks.insert(0, lambda: 1 / 0)
    _forks.mark[0] = 0
    _forks.notice_fork()
    assert renewals == ["renewed"]
    assert _forks.mark[0]
    assert "failed at starting over in a forked process" in caplog.text


def test_the_first_span_of_a_child_renews_the_batcher(renewals):
    """A span that ends is the first thing that a child may do."""
    batcher = SpanBatcher(SimpleNamespace(export=lambda spans: None, shutdown=lambda: None))
    _forks.mark[0] = 0
    batcher.on_end(make_span())
    assert renewals == ["renewed"]
    batcher.shutdown()


@pytest.mark.parametrize("which", ["root", "child"])
def test_the_end_of_a_held_span_renews(which, renewals):
    """A span that was open at the fork ends in the child, whether or not it is the local root."""
    local = Local()
    root = local.start("root")
    spans = {"root": root, "child": local.start("child", root)}
    assert renewals == []
    _forks.mark[0] = 0
    spans[which].end()
    assert renewals == ["renewed"]


@pytest.fixture
def waiting(monkeypatch):
    """A separate queue of warnings."""
    own = deque(maxlen=100)
    monkeypatch.setattr(_guard, "pending", own)
    return own


def test_a_thread_of_ours_leaves_its_warnings_to_a_greenlet(waiting, monkeypatch, caplog):
    """Under gevent and eventlet, warnings of our threads are logged by a greenlet."""
    with monkeypatch.context() as patch:
        patch.setattr(_guard, "in_own_thread", lambda: True)
        _guard.warn("lost %d", 3)
        _guard.log_pending()
        assert caplog.records == []
        assert len(waiting) == 1
    _guard.log_pending()
    assert [(one.levelno, one.getMessage()) for one in caplog.records] == [(logging.WARNING, "lost 3")]
    assert not waiting


def test_a_warning_that_another_greenlet_took(monkeypatch, caplog):
    """A warning that another greenlet takes meanwhile is no error."""

    class Snatched(deque):
        def popleft(self):
            self.clear()
            return super().popleft()

    monkeypatch.setattr(_guard, "pending", Snatched([("lost", (), None)]))
    _guard.log_pending()
    assert caplog.records == []


def test_a_foreign_thread_under_a_patch_is_none_of_ours(monkeypatch):
    """A thread for external code is not marked as ours."""
    seen = []
    thread = _native.NativeThread(
        lambda: seen.append(_native.get_ident() in _native._own_threads), "f", external=True
    )
    with monkeypatch.context() as patch:
        patch.setattr(_native, "patcher", lambda module="threading": "gevent")
        thread.start()
    thread.join(5)
    assert not thread.is_alive()
    assert seen == [False]


def test_an_attempt_that_was_shut_down_has_failed():
    """An attempt that another thread aborted is not taken for a connection."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as sock,
    ):
        race = Race(lambda: 0.0)
        race.pending[sock] = Candidate(socket.AF_INET, listening.getsockname(), "localhost")
        peer, _ = listening.accept()
        race.abort()
        peer.close()
        eventually(lambda: race._outcome(sock) is not None)
        assert race._ready(5) == [sock]
        assert race._outcome(sock).errno == errno.ENOTCONN
