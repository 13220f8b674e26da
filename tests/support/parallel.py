"""Runs the suite by pytest-xdist, and the tests marked `quiet` alone when its workers have ended.

``pytest -n 0`` runs everything in one process, ``pytest -n 4`` in four. Without ``-n`` there are two workers a core,
as many tests wait, and none where only files or tests are named.
"""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

WORKERS_PER_CORE = 2
_found = pytest.StashKey[set[str]]()


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def workers(arguments: list[str]) -> int:
    """The number of workers for the arguments of a command line; none if each is a file or a test."""
    if all(".py" in argument for argument in arguments):
        return 0
    return WORKERS_PER_CORE * len(os.sched_getaffinity(0))


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark."""
    config.addinivalue_line("markers", "quiet: runs while no other test does, because it depends on timing.")
    config.stash[_found] = set()


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Set what the command line leaves open: the number of workers, and how tests are distributed."""
    option = config.option
    if _is_worker(config) or not hasattr(option, "numprocesses"):
        return
    if option.numprocesses is None:
        option.numprocesses = 0 if option.usepdb or option.collectonly else workers(config.args)
    if option.dist == "no":
        option.dist = "worksteal"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the quiet tests to the controller."""
    if _is_worker(config):
        quiet = [item for item in items if item.get_closest_marker("quiet")]
        items[:] = [item for item in items if item not in quiet]
        config.workeroutput["quiet"] = [item.nodeid for item in quiet]
    elif found := config.stash[_found]:
        items[:] = [item for item in items if item.nodeid in found]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object, error: object) -> None:
    """Read which tests a worker left to the controller."""
    node.config.stash[_found].update(getattr(node, "workeroutput", {}).get("quiet", ()))


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Run the quiet tests when the workers have ended."""
    done = yield
    found = session.config.stash[_found]
    if found and not session.shouldfail and not session.shouldstop:
        collected = session.testscollected
        items = session.perform_collect(sorted({nodeid.partition("::")[0] for nodeid in found}))
        session.testscollected = collected + len(items)
        _run(session, items)
    return done


def _run(session: pytest.Session, items: list[pytest.Item]) -> None:
    for item, following in zip(items, [*items[1:], None], strict=True):
        session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail or session.shouldstop:
            return
