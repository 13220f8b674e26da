"""Traces whose spans are mistakes, or attacks on the page."""

from __future__ import annotations

from tests.browser.made import Made

MARKUP = '<img src=x onerror="window.attacked=1"><script>window.attacked=1</script>'
URL = "javascript:window.attacked=1"
BIDI = "safe\u202etxt.exe\u0007\x1b[31m"


def markup() -> Made:
    """Markup, scripts and control characters in every text of a trace."""
    made = Made(resource={MARKUP: MARKUP})
    root = made.span(
        MARKUP, MARKUP, 0, 50, error=MARKUP, values={MARKUP: MARKUP, "url.full": URL, "http.route": MARKUP},
        state=f"x={MARKUP[:40]}",
    )  # fmt: skip
    made.exception(root, 10, MARKUP, MARKUP, (MARKUP,))
    made.span(BIDI, BIDI, 5, 20, root, values={BIDI: BIDI, "__proto__": "polluted", "constructor": "x"})
    made.link(root, "f" * 32, {MARKUP: URL})
    made.log(MARKUP, root, 5, MARKUP, "ERROR", **{MARKUP: MARKUP})
    return made


def deep(levels: int = 3000) -> Made:
    """Spans nested that deep."""
    made, parent = Made(), 0
    for at in range(levels):
        parent = made.span("deep", f"level {at}", at / 10, levels - at / 10, parent, "internal")
    return made


def huge() -> Made:
    """An attribute of a megabyte, ten thousand attributes and a name of a hundred thousand letters."""
    made = Made()
    root = made.span("huge", "n" * 100_000, 0, 10, values={"text": "word " * 200_000})
    made.span("huge", "many", 1, 9, root, values={f"key.{at}": "v" * 40 for at in range(10_000)})
    return made


def broken() -> Made:
    """A cycle, a repetition, a missing parent, a second root, a clock ahead and an end before the start."""
    made = Made()
    root = made.span("odd", "root", 0, 100)
    first = made.span("odd", "cycle a", 5, 20, root)
    second = made.span("odd", "cycle b", 6, 19, first)
    made.spans[first - 1].parent_span_id = second.to_bytes(8, "big")
    made.span("odd", "orphan", 30, 40, 999)
    made.span("odd", "second root", 50, 60)
    made.span("ahead", "other clock", -4000, -3990, root)
    made.span("odd", "backwards", 80, 70, root)
    made.span("odd", "the same id", 81, 82, root)
    made.spans[-1].span_id = made.spans[root - 1].span_id
    return made
