"""How the suite is distributed to workers, and which files coverage measures."""

from __future__ import annotations

import pytest

from tests.repository.sources import ROOT
from tests.support import measuring, parallel


def test_the_lists_name_what_exists():
    """A folder or file that is renamed is renamed there, too."""
    names = [f"tests/{folder}" for folder in parallel.SLOW] + [
        *parallel.SHARED,
        *parallel.ALONE,
        *measuring.UNMEASURED,
    ]
    assert [name for name in names if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    ("nodeid", "scope"),
    [
        ("tests/libraries/test_s3.py::test_a[x/y]", "tests/libraries"),
        ("tests/messaging/test_celery.py::test_b", "tests/messaging"),
        ("tests/messaging/test_away.py::test_c", "tests/messaging/test_away.py"),
        ("tests/lifecycle/test_forks.py::test_d[a::b]", "tests/lifecycle/test_forks.py::test_d[a::b]"),
        ("tests/mesh/test_sidecars.py::test_e[Zipkin]", "tests/mesh/test_sidecars.py"),
    ],
)
def test_what_one_worker_runs(nodeid, scope):
    """Tests that share a program, a file, or a test alone."""
    assert parallel.scope(nodeid) == scope


def test_slow_folders_come_first():
    """The others keep their order."""
    ids = [
        "tests/calls/test_a.py::test",
        "tests/export/test_b.py::test",
        "tests/mesh/test_c.py::test",
        "other.py::test",
    ]
    assert sorted(ids, key=parallel.rank) == [ids[2], ids[1], ids[0], ids[3]]
