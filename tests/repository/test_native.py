"""Threads, locks, queues and sockets come from `_native.py`, which handles gevent and eventlet."""

from __future__ import annotations

import ast

import pytest

from tests.repository.sources import Module, library, parse

REPLACED = {
    "threading": {"Thread", "Timer", "Lock", "RLock", "Condition", "Event", "Semaphore", "Barrier"},
    "_thread": {"start_new_thread", "allocate_lock", "get_ident"},
    "queue": {"Queue", "SimpleQueue", "LifoQueue", "PriorityQueue"},
    "socket": {"socket", "create_connection", "getaddrinfo", "gethostbyname", "socketpair"},
    "select": {"select", "poll", "epoll"},
    "selectors": {"DefaultSelector", "SelectSelector", "PollSelector", "EpollSelector"},
    "time": {"sleep"},
}
"""What gevent or eventlet replaces, by module."""

OWN = {"eco2_tracing._native"}
EDGES = ("eco2_tracing._cli", "eco2_tracing._doctor", "eco2_tracing._view", "eco2_tracing.testing")
"""Programs and helpers of their own, which no service loads."""


def uses(module: Module) -> list[str]:
    """Replaceable names that a module calls or imports."""
    found = [
        f"{node.func.value.id}.{node.func.attr}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        if node.func.attr in REPLACED.get(node.func.value.id, ())
    ]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.module in REPLACED:
            found += [f"{node.module}.{one.name}" for one in node.names if one.name in REPLACED[node.module]]
        if isinstance(node, ast.Call) and any(word.arg == "after_in_child" for word in node.keywords):
            found.append("register_at_fork(after_in_child=…)")
    return [f"{module.name} uses {one}" for one in found]


def test_replaceable_names_are_not_used():
    """Gevent's replacements would block all greenlets; Python's fork hooks miss forks in C."""
    modules = [module for module in library() if module.name not in OWN | {"eco2_tracing._forks"}]
    found = [use for module in modules if not module.name.startswith(EDGES) for use in uses(module)]
    assert found == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import threading\nthreading.Lock()", True),
        ("from queue import SimpleQueue", True),
        ("import socket\nsocket.getaddrinfo('a', 1)", True),
        ("import os\nos.register_at_fork(after_in_child=f)", True),
        ("import os\nos.register_at_fork(before=f)", False),
        ("import socket\nsocket.AF_INET", False),
        ("from queue import Empty", False),
    ],
)
def test_uses_are_found(source, found):
    """Calls and imports by name."""
    assert bool(uses(parse("eco2_tracing.x", source))) is found
