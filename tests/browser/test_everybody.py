"""The pages for those who use the keyboard, a screen reader, large letters, or a narrow window."""

from __future__ import annotations

import gzip
from importlib.resources import files

import pytest

from tests.browser.chromium import expect, watched_page
from tests.browser.shop import build, cart, checkout

VIEWS = ("/", "/trace/{}", "/trace/{}#logs", "/map", "/compare?left={}&right={}", "/builds?service=basket")

SCRIPT = """
async () => (await axe.run(document, {resultTypes: ['violations']})).violations
  .filter(({impact}) => impact === 'serious' || impact === 'critical')
  .map(({id, nodes}) => `${id}: ${nodes.map((node) => node.html).slice(0, 3).join(' ')}`)
"""


@pytest.fixture(scope="module")
def ids(viewer):
    """The ids of two traces, beside two builds."""
    viewer.send(*build(1, 60.0), *build(2, 20.0))
    return viewer.send(checkout()), viewer.send(cart())


def opened(page, view, ids):
    """Open a view, and wait for its content."""
    page.goto(view.format(*ids))
    expect(page.locator("main").get_by_role("row").nth(1)).to_be_visible()
    if view.startswith("/trace/"):
        page.get_by_role("treegrid").get_by_role("row").nth(1).click()
        if "#logs" in view:
            page.keyboard.press("l")
            expect(page.get_by_role("grid", name="Log lines")).to_be_visible()


@pytest.fixture(scope="module")
def axe():
    """The script of axe-core."""
    pytest.importorskip("axe_core_python", reason="axe-core-python is not here: pip install axe-core-python")
    return (files("axe_core_python") / "axe.min.js").read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe(browser, viewer, ids, axe, scheme):
    """axe-core finds nothing serious on any view."""
    found = {}
    with watched_page(
        browser, viewer.url, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce"
    ) as page:
        for view in VIEWS:
            opened(page, view, ids)
            page.evaluate(axe)
            if problems := page.evaluate(SCRIPT):
                found[view] = problems
    assert found == {}


@pytest.mark.parametrize(
    "window",
    [{"width": 320, "height": 640}, {"width": 640, "height": 360}],
    ids=["narrow", "200 percent of a laptop"],
)
def test_small_windows(browser, viewer, ids, window):
    """No view must be scrolled sideways as a whole, and its rows can be read."""
    with watched_page(browser, viewer.url, viewport=window) as page:
        for view in VIEWS:
            opened(page, view, ids)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view


def test_keyboard_alone(page, ids):
    """From the list to the details of a span and back to its row, without a pointer."""
    page.goto("/")
    expect(page.get_by_role("grid", name="Traces").get_by_role("row").nth(1)).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("e")
    page.keyboard.press("Enter")
    page.wait_for_url("**/trace/*")
    rows = page.get_by_role("treegrid", name="Spans").get_by_role("row")
    expect(rows.nth(1)).to_be_visible()
    page.keyboard.press("e")
    page.keyboard.press("Enter")
    details = page.get_by_role("complementary", name="Details")
    expect(details).to_contain_text("503 error")
    page.keyboard.press("Escape")
    expect(page.locator("[role=row]:focus")).to_have_count(1)


def test_size():
    """All files of the page are at most 60 KiB, compressed as one stream."""
    page = files("eco2_tracing").joinpath("_view", "page")
    every = b"".join(
        each.read_bytes() for each in sorted(page.iterdir(), key=lambda one: one.name) if each.is_file()
    )
    assert len(gzip.compress(every, 9)) <= 60 * 1024
