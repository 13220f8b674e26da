"""Runs the suite by pytest-xdist, and the tests marked `quiet` alone when its workers have ended.

``pytest -n 0`` runs everything in one process, ``pytest -n 4`` in four. Without ``-n`` there are three workers a core,
as many tests wait, and none where the command line names paths: each worker imports and collects anew. Tests that share
what is expensive to start are run by one worker, which begins early with it.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

from tests.support.measuring import Measuring

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler.protocol import Scheduling

# Where it is set, each of the suite's many processes would compile what it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

WORKERS_PER_CORE = 3
# The folders whose tests start programs, the slowest first: what begins late is waited for at the end.
SLOW = (
    "mesh",
    "messaging",
    "libraries",
    "kubernetes",
    "e2e",
    "browser",
    "interop",
    "repository",
    "lifecycle",
    "requests",
    "run",
    "waterfall",
    "cli",
    "tail_sampling",
    "logs",
    "export",
    "proxies",
    "moving",
    "compose",
    "doctor",
)
# Tests that share databases, brokers, rendered files or a browser, by what their ids begin with.
SHARED = (
    "tests/browser/",
    "tests/kubernetes/",
    "tests/libraries/",
    "tests/messaging/test_brokers.py",
    "tests/messaging/test_celery.py",
    "tests/messaging/test_sizes.py",
)
# Tests that start all that they need, each for itself.
ALONE = (
    *("tests/lifecycle/", "tests/export/test_processes.py", "tests/logs/test_servers.py"),
    "tests/requests/test_ends.py",
    *("tests/repository/test_docs.py", "tests/repository/test_how_to.py"),
)
_found = pytest.StashKey[set[str]]()
_measuring = pytest.StashKey[Measuring]()


def scope(nodeid: str) -> str:
    """The scope of a test: its folder, itself or its file; one worker runs a scope."""
    file = nodeid.partition("::")[0]
    if nodeid.startswith(SHARED):
        return file.rpartition("/")[0]
    return nodeid if nodeid.startswith(ALONE) else file


def rank(nodeid: str) -> int:
    """The place of a test's folder in the order of the run."""
    folder = nodeid.partition("/")[2].partition("/")[0]
    return SLOW.index(folder) if folder in SLOW else len(SLOW)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Distribute by scope, unless the command line says how."""
    if config.option.dist != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByScope(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:  # the method that xdist's documentation has one override
            return scope(nodeid)

    return ByScope(config, log)


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark."""
    config.addinivalue_line("markers", "quiet: runs while no other test does, because it depends on timing.")
    config.stash[_found] = set()
    config.stash[_measuring] = Measuring()
    gc.disable()


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Set what the command line leaves open: the number of workers, and how tests are distributed."""
    option = config.option
    if _is_worker(config) or not hasattr(option, "numprocesses"):
        return
    if option.numprocesses is None:
        alone = option.file_or_dir or option.usepdb or option.collectonly
        option.numprocesses = 0 if alone else WORKERS_PER_CORE * len(os.sched_getaffinity(0))
    if option.dist == "no":
        option.dist = "loadscope"
        option.loadscopereorder = False


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the quiet tests to the controller, and begin with the slow folders."""
    if _is_worker(config):
        items.sort(key=lambda item: rank(item.nodeid))
        quiet = [item for item in items if item.get_closest_marker("quiet")]
        items[:] = [item for item in items if not item.get_closest_marker("quiet")]
        config.workeroutput["quiet"] = [item.nodeid for item in quiet]
    elif found := config.stash[_found]:
        items[:] = [item for item in items if item.nodeid in found]


def pytest_collection_finish() -> None:
    """Let no garbage collection visit what the collection of tests has made, which lives until the end."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """Do so after each file: a garbage collection visits what its tests have imported, up to half a million objects."""
    item.config.stash[_measuring].begin(item.nodeid)
    done = yield
    if nextitem is not None and nextitem.path != item.path:
        gc.collect()
        gc.freeze()
    return done


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write a worker's coverage before the controller knows that the worker has ended."""
    if _is_worker(session.config):
        session.config.stash[_measuring].end()


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
