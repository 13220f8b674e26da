"""Where the time of a trace goes."""

from __future__ import annotations

import pytest

from eco2_tracing._view.rows import forest_of
from eco2_tracing._view.timing import root_of, timing_of
from tests.view.requests import BEGIN, SERVER, request, span
from tests.view.test_trace import opened

MS = 1_000_000


def timed(*spans):
    """The forest and the times of some spans."""
    forest = forest_of(opened(request(*spans)))
    return forest, timing_of(forest)


def by_name(forest, of_spans):
    """Intervals in milliseconds, by the name of their span."""
    return {
        span.name: [((start - BEGIN) / MS, (end - BEGIN) / MS) for start, end in each]
        for span, each in zip(forest.spans, of_spans, strict=True)
        if each
    }


@pytest.mark.parametrize(
    ("children", "expected"),
    [
        ([], 100),
        ([(10, 30), (40, 60)], 60),
        ([(10, 50), (30, 60), (35, 40)], 50),
        ([(-20, 10), (90, 150)], 80),
        ([(100, 200)], 100),
        ([(-5, 200), (20, 30)], 0),
    ],
)
def test_self_time(children, expected):
    """The time of a span in which no child runs; what goes on outside of it is not counted."""
    below = [span(at + 2, 1, f"child {at}", start, end) for at, (start, end) in enumerate(children)]
    forest, timing = timed(span(1, "", "root", 0, 100), *below)
    names = [one.name for one in forest.spans]
    assert timing.self_ns[names.index("root")] == expected * MS


def test_the_critical_path():
    """From the end backwards, by the child that ended last; neither what runs beside nor what goes on later."""
    forest, timing = timed(
        span(1, "", "root", 0, 100),
        span(2, 1, "first", 10, 40),
        span(3, 1, "beside", 5, 45),
        span(4, 1, "last", 50, 90),
        span(5, 4, "inner", 60, 95),
        span(6, 1, "later", 110, 150),
        span(7, 1, "empty", 47, 47),
        span(9, 5, "of a clock that differs", 55, 70),
        span(8, 2, "not waited for", 41, 42),
    )
    assert by_name(forest, timing.critical) == {
        "root": [(0.0, 5.0), (45.0, 50.0), (90.0, 100.0)],
        "beside": [(5.0, 45.0)],
        "last": [(50.0, 60.0)],
        "inner": [(70.0, 90.0)],
        "of a clock that differs": [(60.0, 70.0)],
    }


def test_the_critical_path_of_rounded_times():
    """Siblings that overlap by a microsecond ran after each other."""
    spans = [span(1, "", "root", 0, 100), span(2, 1, "first", 0, 50), span(3, 1, "second", 50, 100)]
    spans[1]["end"] += 900
    spans.append(span(4, 1, "within the rounding", 50, 50))
    spans[3]["end"] += 800
    forest, timing = timed(*spans)
    assert by_name(forest, timing.critical) == {"first": [(0.0, 50.0)], "second": [(50.0, 100.0)]}


def test_gaps():
    """Parts without a child, if they are a twentieth of the trace; a span without children has none."""
    forest, timing = timed(
        span(1, "", "root", 0, 100),
        span(2, 1, "one", 6, 40),
        span(3, 1, "two", 44, 90),
        span(4, 3, "three", 44, 89),
    )
    assert by_name(forest, timing.gaps) == {"root": [(0.0, 6.0), (90.0, 100.0)]}


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([span(2, 9, "inner", 0), span(1, "", "root", 5)], "root"),
        (
            [
                span(2, 9, "inner", 0),
                span(3, 8, "server", 5, kind=SERVER),
                span(4, 7, "later", 6, kind=SERVER),
            ],
            "server",
        ),
        ([span(2, 9, "inner", 0), span(3, 8, "other", 5)], "inner"),
        ([span(1, "", "root", 0), span(2, "", "second root", 1)], "root"),
    ],
)
def test_the_root_of_a_trace(spans, expected):
    """A span without parent, then a server's whose parent is missing, then the first."""
    forest, _ = timed(*spans)
    assert forest.spans[root_of(forest)].name == expected


def test_a_trace_without_spans():
    """It has no times."""
    forest, timing = timed()
    assert (root_of(forest), list(timing.self_ns), list(timing.critical)) == (-1, [], [])


def test_deep_wide_and_cyclic_traces():
    """Each of their spans has its times, and the critical path leads to the deepest one."""
    deep = [span(at, at - 1 or "", f"{at}", at, 20_000 - at) for at in range(1, 5001)]
    _, timing = timed(*deep)
    assert all(timing.critical)
    assert timing.self_ns[:2] == [2 * MS] * 2
    wide = [span(at, 1 if at > 1 else "", f"{at}", at, at + 1) for at in range(1, 5001)]
    wide[0]["end"] = BEGIN + 5001 * MS
    _, timing = timed(*wide)
    assert sum(map(bool, timing.critical)) == 5000
    _, timing = timed(span(1, 2, "one", 0, 10), span(2, 3, "two", 1, 9), span(3, 1, "three", 2, 8))
    assert timing.self_ns == [4 * MS, 8 * MS, 0]
