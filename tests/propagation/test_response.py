"""Response headers of a callee that kept a trace."""

from __future__ import annotations

import pytest

from eco2_tracing.propagation import format_server_timing, read_server_timing, read_trace_response

from .vectors import NO_TRACE, S1, S2, T1, T2

KEPT = (int(T1, 16), int(S1, 16), True)
ONE = f"00-{T1}-{S1}-01"
OTHER = f"00-{T2}-{S2}-01"


def test_what_is_written():
    """The metric has the draft's form and can be parsed."""
    written = format_server_timing(int(T1, 16), int(S1, 16))
    assert written == f"trace;desc={ONE}".encode()
    assert read_server_timing([written]) == KEPT
    assert format_server_timing(1, 2) == b"trace;desc=00-" + b"0" * 31 + b"1-" + b"0" * 15 + b"2-01"


@pytest.mark.parametrize(
    "values",
    [
        [f"trace;desc={ONE}"],
        [f'trace;desc="{ONE}"'],
        [f" trace ; desc = {ONE} "],
        [f'trace\t;DESC\t=\t"{ONE}"\t'],
        [f"trace;dur=1.5;desc={ONE}"],
        [f"trace;desc={ONE};dur=1.5"],
        [f"trace;desc={ONE};desc={OTHER}"],
        [f"db;dur=53, trace;desc={ONE}, app;dur=47.2"],
        [f'cache;desc="a, trace;desc={OTHER}", trace;desc={ONE}'],
        [f'cache;desc="\\", trace;desc={OTHER}", trace;desc={ONE}'],
        [f'trace;note="a;desc={OTHER}";desc={ONE}'],
        ["db;dur=53", f"trace;desc={ONE}"],
        [f"trace;desc=junk, trace;desc={ONE}"],
        ["trace", f",,trace;desc={ONE},"],
        [f"trace;desc={ONE}", f"trace;desc={OTHER}"],
        [f"trace;desc=cc-{T1}-{S1}-01-later"],
        ["trace" + "x" * 9000, f"trace;desc={ONE}"],
    ],
)
def test_kept(values: list[str]):
    """The first valid metric named trace is used, in any notation."""
    assert read_server_timing([value.encode() for value in values]) == KEPT


@pytest.mark.parametrize(
    "value",
    [
        "",
        "trace",
        "trace;desc",
        "trace;desc=",
        'trace;desc="',
        f'trace;desc="{ONE}',
        f'trace;desc={ONE}"',
        f"Trace;desc={ONE}",
        f"traces;desc={ONE}",
        f"trace={ONE}",
        f"trace;description={ONE}",
        f"trace;desc=junk;desc={ONE}",
        f"trace;desc=00-{NO_TRACE}-{S1}-01",
        f"trace;desc={ONE.upper()}",
        f"trace;desc={ONE}-x",
        f'x;desc="trace;desc={ONE}',
        "trace;desc=" + "x" * 9000,
        'trace"' + '\\"' * 3000,
        "trace" + '"' * 4001,
        "trace," * 1300,
    ],
)  # fmt: skip
def test_not_kept(value: str):
    """There is no result without a complete and valid metric."""
    assert read_server_timing([value.encode("latin-1")]) is None


def test_not_sampled_is_told():
    """The flag is returned as it is: a callee may name its trace without having kept it."""
    assert read_server_timing([f"trace;desc=00-{T1}-{S1}-00".encode()]) == (*KEPT[:2], False)
    assert read_server_timing([]) is None


def test_trace_response():
    """The older header has the same value."""
    assert read_trace_response(ONE.encode()) == KEPT
    assert read_trace_response(f" 00-{T1}-{S1}-00 ".encode()) == (*KEPT[:2], False)
    assert read_trace_response(b"00-" + T1.encode()) is None
