"""The page with the list of traces, as its reader uses it."""

from __future__ import annotations

import os
import re
import signal

import pytest

from tests.browser.chromium import expect, watched_page
from tests.browser.shop import build, cart, checkout, orders
from tests.browser.viewer import running_viewer


@pytest.fixture(scope="module")
def shop(browser):
    """A viewer of its own with a failed trace, one with many queries, and fine ones."""
    with running_viewer() as viewer:
        viewer.send(*build(1, 40.0), orders(seconds_ago=30), cart(seconds_ago=20), checkout(seconds_ago=10))
        yield viewer


@pytest.fixture
def page(browser, shop):
    """The list."""
    with watched_page(browser, shop.url) as page:
        page.goto("/")
        expect(page.get_by_role("grid", name="Traces").get_by_role("row").nth(1)).to_be_visible()
        yield page


def titles(page):
    """The titles of the rows, from the top."""
    return page.get_by_role("grid", name="Traces").get_by_role("link").all_inner_texts()


def test_a_row(page):
    """It says what was called, how it ended, how long it took, and how many spans, errors and log lines there are."""
    row = page.get_by_role("row").filter(has_text="POST /checkout")
    for text in ("shop", "payment, stock", "502", "412 ms", "14", "✖ 7", "6"):
        expect(row).to_contain_text(text)
    gateway = page.get_by_role("row").filter(has_text="istio-ingressgateway")
    expect(gateway).to_contain_text("GET /cart/{item} · shop.local:80/*")
    expect(page.get_by_text(re.compile(r"Held: 9 traces, \d+ spans"))).to_be_visible()


@pytest.mark.parametrize(
    ("field", "text", "count"),
    [
        ("Find", "declined", 1),
        ("Route or name", "/BASKET", 6),
        ("Status", "5xx", 1),
        ("Status", "error", 1),
        ("From (ms)", "250", 2),
        ("To (ms)", "50", 6),
        ("Attribute", "order.items=3", 1),
        ("Service", "stock", 2),
    ],
)
def test_search(page, field, text, count):
    """Each field finds traces; the address has the search, and opens it again."""
    control = (
        page.get_by_role("combobox", name=field)
        if field == "Service"
        else page.get_by_label(field, exact=True)
    )
    control.select_option(text) if field == "Service" else control.fill(text)
    control.press("Enter")
    expect(page.get_by_role("grid", name="Traces").get_by_role("link")).to_have_count(count)
    page.wait_for_function("() => location.search.length > 1")
    page.reload()
    expect(page.get_by_role("grid", name="Traces").get_by_role("link")).to_have_count(count)
    if field == "Attribute":
        expect(page.get_by_text(text)).to_be_visible()  # and the field takes another
    else:
        expect(control).to_have_value(text)


def test_a_pasted_trace_id(page, shop):
    """It opens the trace."""
    trace_id = shop.get("/api/traces", status="error")["traces"][0]["trace_id"]
    page.get_by_label("Find", exact=True).fill(trace_id)
    page.get_by_label("Find", exact=True).press("Enter")
    page.wait_for_url(f"**/trace/{trace_id}*")
    expect(page.get_by_role("heading", name="POST /checkout").first).to_be_visible()


def test_order(page):
    """By a column, in both directions, and errors first."""
    page.get_by_role("button", name="Duration").click()
    expect(page.get_by_role("columnheader", name="Duration")).to_have_attribute("aria-sort", "descending")
    assert titles(page)[0] == "POST /checkout"
    page.get_by_role("button", name="Duration").click()
    expect(page.get_by_role("columnheader", name="Duration")).to_have_attribute("aria-sort", "ascending")
    assert titles(page)[-1] == "POST /checkout"
    page.get_by_role("button", name="Start").click()
    page.get_by_role("button", name="Errors first").click()
    assert titles(page)[0] == "POST /checkout"
    page.get_by_role("button", name="✖ Errors", exact=True).click()
    expect(page.get_by_role("grid", name="Traces").get_by_role("link")).to_have_count(1)


def test_live_arrival_and_pause(browser):
    """A trace appears at the top without a reload; while the list is paused, it waits behind a button."""
    with running_viewer() as viewer, watched_page(browser, viewer.url) as page:
        page.goto("/")
        expect(page.get_by_text("4317").first).to_be_visible()  # how to send traces
        viewer.send(orders())
        rows = page.get_by_role("grid", name="Traces").get_by_role("link")
        expect(rows).to_have_count(1)
        page.keyboard.press("p")
        expect(page.get_by_role("button", name="Pause")).to_have_attribute("aria-pressed", "true")
        viewer.send(checkout())
        expect(page.get_by_role("button", name="1 new trace")).to_be_visible()
        expect(rows).to_have_count(1)
        page.get_by_role("button", name="1 new trace").click()
        expect(rows).to_have_count(2)


def test_keys_and_back(page):
    """Arrows choose a row and Enter opens it; Back returns to it. `e` goes to the next failed trace."""
    page.keyboard.press("e")
    row = page.get_by_role("grid", name="Traces").get_by_role("row").filter(has_text="POST /checkout")
    expect(row).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(row).not_to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.get_by_role("treegrid", name="Spans")).to_be_visible()
    page.go_back()
    expect(row).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("next")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.get_by_label("Find", exact=True)).to_be_focused()


def test_two_traces_are_compared(page):
    """Two chosen rows lead to their comparison."""
    for text in ("POST /checkout", "GET /orders"):
        page.get_by_role("row").filter(has_text=text).get_by_role("checkbox").check()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.wait_for_url("**/compare?*")
    expect(page.get_by_role("heading", name="Comparison")).to_be_visible()


def test_the_connection_is_shown(browser):
    """A viewer that has stopped is not taken for one that nobody sends to."""
    with running_viewer() as viewer, browser.new_context(base_url=viewer.url) as context:
        page = context.new_page()
        page.goto("/")
        expect(page.get_by_text("Live")).to_be_visible()
        os.kill(viewer.pid, signal.SIGTERM)
        expect(page.get_by_text("Live")).not_to_be_visible()
