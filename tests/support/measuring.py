"""Pauses coverage during tests that reach no line that others do not reach.

On Python 3.11 measuring takes as long as what is measured, and longer in programs that start and end.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coverage import Coverage

# The variable by which coverage measures the processes that a measured one starts.
VARIABLE = "COVERAGE_PROCESS_CONFIG"
# What the ids of these tests begin with. Most drive servers, browsers, brokers and other programs.
UNMEASURED = (
    "tests/browser/",
    "tests/calls/test_external_hosts.py",
    "tests/compose/",
    "tests/interop/",
    "tests/istiod/",
    "tests/kit_programs/",
    "tests/kubernetes/",
    "tests/lifecycle/test_bounds.py",
    "tests/lifecycle/test_cycles.py",
    "tests/mesh/",
    "tests/messaging/test_away.py",
    "tests/messaging/test_brokers.py",
    "tests/moving/",
    "tests/proxies/",
    "tests/repository/test_benchmarks.py",
    "tests/repository/test_docs.py",
    "tests/repository/test_docstrings.py",
    "tests/repository/test_getting_started.py",
    "tests/repository/test_how_to.py",
    "tests/repository/test_layers.py",
    "tests/repository/test_reliability.py",
    "tests/repository/test_site.py",
    "tests/repository/test_style.py",
    "tests/run/test_terminal.py",
    "tests/scale/",
    "tests/tail_sampling/test_gateway.py",
    "tests/tail_sampling/test_runs.py",
    "tests/waterfall/test_servers.py",
)


class Measuring:
    """The coverage of this process, if it is measured."""

    def __init__(self) -> None:
        found = sys.modules.get("coverage")
        self._coverage: Coverage | None = None if found is None else found.Coverage.current()
        self._variable = os.environ.get(VARIABLE)
        self._file = ""

    def begin(self, nodeid: str) -> None:
        """Before a test: measure this process and those that it starts, unless the test is of ``UNMEASURED``.

        Measuring begins anew with each file, should a test have ended it: greenlets and exhausted stacks can.
        """
        file = nodeid.partition("::")[0]
        if self._coverage is None or file == self._file:
            return
        self._file = file
        self._coverage.stop()
        os.environ.pop(VARIABLE, None)
        if not file.startswith(UNMEASURED):
            self._coverage.start()
            if self._variable is not None:
                os.environ[VARIABLE] = self._variable

    def end(self) -> None:
        """After the last test: write what was measured. A worker that takes longer than 10 s to exit is killed."""
        if self._coverage is not None:
            self._coverage.stop()
            self._coverage.save()
