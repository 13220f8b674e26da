"""What spans contain is text on every page, and what is too much is bounded."""

from __future__ import annotations

import pytest

from tests.browser import hostile
from tests.browser.chromium import expect


@pytest.mark.parametrize("name", ["markup", "deep", "huge", "broken"])
def test_hostile_spans(page, viewer, name):
    """They are shown as what they are. `watched_page` fails at a violated policy, an error, or a request to others."""
    trace_id = viewer.send(getattr(hostile, name)())
    page.goto("/")
    expect(page.get_by_role("grid", name="Traces").get_by_role("row").nth(1)).to_be_visible()
    page.goto(f"/trace/{trace_id}")
    rows = page.get_by_role("treegrid", name="Spans").get_by_role("row")
    expect(rows.nth(1)).to_be_visible()
    rows.nth(1).click()
    details = page.get_by_role("complementary", name="Details")
    expect(details).to_be_visible()
    assert page.evaluate("window.attacked") is None
    assert page.evaluate("({}).polluted") is None
    assert page.evaluate("document.querySelectorAll('*').length") <= 2500
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shown = {"markup": "<img src=x", "deep": "level 0", "huge": "nnnn", "broken": "root"}[name]
    expect(details).to_contain_text(shown)
    if name == "markup":
        assert page.locator("a[href^='javascript']").count() == 0
        expect(page.get_by_text("\\u202e").first).to_be_attached()
    if name == "broken":
        for text in ("cycles", "the id of another", "not received", "clocks", "before their start"):
            expect(page.get_by_text(text).first).to_be_attached()
