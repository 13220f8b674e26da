"""The page of one trace, as its reader uses it."""

from __future__ import annotations

import json

import pytest

from eco2_tracing._cli import main
from tests.browser.chromium import expect, watched_page
from tests.browser.shop import cart, checkout, large, orders


@pytest.fixture(scope="module")
def ids(viewer):
    """The ids of some traces that the viewer holds."""
    return {
        name: viewer.send(make())
        for name, make in {"checkout": checkout, "orders": orders, "cart": cart}.items()
    }


@pytest.fixture
def shown(page, ids):
    """Open a trace; return its rows."""

    def show(name, ending=""):
        page.goto(f"/trace/{ids[name]}{ending}")
        rows = page.get_by_role("treegrid", name="Spans").get_by_role("row")
        expect(rows.nth(1)).to_be_visible()
        return rows

    return show


def test_head(page, shown, ids):
    """It names the request, its end, its time, the services, and why the trace was kept."""
    shown("checkout")
    for text in (
        "14 spans",
        "7 errors",
        "6 log lines",
        "412 ms",
        ids["checkout"],
        "Kept because a span failed",
    ):
        expect(page.get_by_text(text).first).to_be_visible()
    shown("cart")
    expect(page.get_by_text("10 %").first).to_be_visible()  # the probability of `ot=th:e666666666666`


def test_tree(page, shown):
    """Spans stand below their parents with log lines and events in their places; rows open and close."""
    rows = shown("checkout")
    root = rows.filter(has_text="POST /checkout").first
    expect(root).to_have_attribute("aria-level", "1")
    expect(rows.filter(has_text="INSERT reservations")).to_have_attribute("aria-level", "4")
    expect(rows.filter(has_text="payment answered 503, trying again")).to_have_attribute("aria-level", "2")
    before = rows.count()
    page.keyboard.press("v")
    expect(rows.filter(has_text="payment answered 503")).to_have_count(0)
    page.keyboard.press("v")
    root.focus()
    page.keyboard.press("ArrowLeft")
    expect(root).to_have_attribute("aria-expanded", "false")
    expect(root).to_contain_text("+13, 6 failed")
    page.keyboard.press("ArrowRight")
    expect(rows).to_have_count(before)
    page.keyboard.press("c")
    expect(rows.filter(has_text="INSERT reservations")).to_have_count(0)
    page.keyboard.press("x")
    expect(rows.filter(has_text="INSERT reservations")).to_have_count(1)


def test_equal_siblings_are_folded(page, shown):
    """Five or more are one row with their number and total, and equal queries are named; Enter opens it."""
    rows = shown("orders")
    group = rows.filter(has_text="40 \N{MULTIPLICATION SIGN}")
    expect(group).to_contain_text("SELECT customer")
    expect(group).to_contain_text("N+1")
    expect(group).to_contain_text("200 ms")
    group.click()
    expect(group).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowLeft")
    expect(group).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("Enter")
    expect(group).to_have_attribute("aria-expanded", "true")
    assert rows.filter(has_text="SELECT customer").count() > 10


def test_critical_path_and_gaps(page, shown):
    """Both are marked on the bars, and told in words in the details."""
    rows = shown("checkout")
    assert page.locator(".bar .critical").count() > 3
    assert page.locator(".bar .gap").count() == 1
    page.keyboard.press("p")
    expect(page.locator(".bar .critical")).to_have_count(0)
    rows.filter(has_text="POST /checkout").first.click()
    details = page.get_by_role("complementary", name="Details")
    expect(details).to_contain_text("Critical path")
    expect(details).to_contain_text("31.0 ms from 231 ms")


def test_proxies_are_marked_and_hidden(page, shown):
    """Spans of the gateway and of sidecars."""
    rows = shown("cart")
    expect(rows.filter(has_text="gateway")).to_have_count(1)
    expect(rows.filter(has_text="sidecar").first).to_be_visible()
    page.get_by_role("button", name="Proxies").click()
    expect(rows.filter(has_text="shop.local:80/*")).to_have_count(0)
    expect(rows.filter(has_text="GET /cart/{item}")).to_have_attribute("aria-level", "1")


def test_errors_are_visited(page, shown):
    """Forwards and backwards, opening what is closed."""
    rows = shown("checkout")
    page.keyboard.press("c")
    seen = []
    for _ in range(7):
        page.keyboard.press("e")
        seen.append(page.evaluate("document.activeElement.innerText"))
    assert len(set(seen)) == 7
    assert all("✖" in text for text in seen)
    page.keyboard.press("E")
    assert page.evaluate("document.activeElement.innerText") in seen
    expect(rows.filter(has_text="/v2/charges").first).to_be_visible()


def test_find(page, shown):
    """A text in attributes, log lines or names: how many, the next, and none."""
    shown("checkout")
    page.keyboard.press("/")
    field = page.get_by_label("Find in the trace")
    expect(field).to_be_focused()
    field.fill("bank.example")
    expect(page.get_by_text("2 found").or_(page.get_by_text("1 of 2"))).to_be_visible()
    field.press("Enter")
    expect(page.get_by_text("1 of 2").or_(page.get_by_text("2 of 2"))).to_be_visible()
    field.fill("trying again")
    expect(page.locator("mark").first).to_have_text("trying again")
    field.fill("nowhere")
    expect(page.get_by_text("none", exact=True)).to_be_visible()


def test_details(page, shown):
    """Attributes, the exception with its stack, why it was kept, and a masked command."""
    rows = shown("checkout")
    rows.filter(has_text="POST /checkout").first.click()
    details = page.get_by_role("complementary", name="Details")
    for text in (
        "CardDeclinedError",
        "receipt = await payments.charge(order)",
        "user_agent.original",
        "Why it was kept",
    ):
        expect(details.get_by_text(text).first).to_be_visible()
    command = details.get_by_text("curl -X POST").first
    expect(command).to_contain_text("http://shop.local/checkout")
    expect(command).to_contain_text("authorization: REDACTED")


def test_a_span_has_an_address(page, shown, viewer, ids):
    """`#<span id>` selects the span, also in a closed group."""
    spans = viewer.get(f"/api/traces/{ids['orders']}")["spans"]
    shown("orders", f"#{spans[9]['span_id']}")
    details = page.get_by_role("complementary", name="Details")
    expect(details).to_contain_text("SELECT customer")
    details.get_by_text("Identity").click()
    expect(details).to_contain_text(spans[9]["span_id"])


def test_log_lines(page, shown):
    """All by time, by level; a click selects the span."""
    shown("checkout")
    page.get_by_role("button", name="Log lines (6)").click()
    lines = page.get_by_role("grid", name="Log lines").get_by_role("row")
    expect(lines.filter(has_text="checkout of order 4711 failed")).to_be_visible()
    assert lines.all_inner_texts()[1].count("checkout of order 4711") == 1
    lines.filter(has_text="payment answered 503").click()
    expect(page.get_by_role("complementary", name="Details")).to_contain_text("POST /checkout")


def test_large_trace(page, viewer):
    """5 000 spans are drawn as they are scrolled to, and the last can be reached and read."""
    trace_id = viewer.send(large())
    page.goto(f"/trace/{trace_id}")
    grid = page.get_by_role("treegrid", name="Spans")
    expect(grid.get_by_role("row").nth(5)).to_be_visible()
    page.keyboard.press("x")
    assert page.evaluate("document.querySelectorAll('*').length") <= 2000
    page.keyboard.press("e")
    expect(page.locator(":focus")).to_contain_text("work on 4990")
    page.locator(":focus").click()
    expect(page.get_by_role("complementary", name="Details")).to_contain_text("4990")
    assert page.evaluate("document.querySelectorAll('*').length") <= 2000


def test_a_growing_trace(page, viewer):
    """New spans appear, and what was selected stays."""
    whole = checkout()
    part = checkout(whole.trace_id)
    part.spans = part.spans[:4]
    viewer.send(part)
    page.goto(f"/trace/{whole.trace_id}")
    rows = page.get_by_role("treegrid", name="Spans").get_by_role("row")
    rows.filter(has_text="SELECT orders").click()
    viewer.send(whole)
    expect(rows.filter(has_text="check for fraud").first).to_be_visible()
    expect(page.get_by_role("complementary", name="Details")).to_contain_text("SELECT orders")


@pytest.mark.parametrize("form", ["OTLP JSON", "Jaeger JSON", "HTML", "Markdown"])
def test_exports_are_opened_again(page, shown, tmp_path, browser, capsys, form):
    """In the terminal, in the browser, or as a text."""
    shown("checkout")
    with page.expect_download() as download:
        page.get_by_role("link", name=form).click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    if form.endswith("JSON"):
        json.loads(path.read_text())
        assert main(["show", str(path)]) == 0
        assert "POST /checkout" in capsys.readouterr().out
    elif form == "Markdown":
        assert path.read_text().startswith("### POST /checkout")
    else:
        with watched_page(browser, tmp_path.as_uri()) as opened:
            opened.goto(path.as_uri())
            expect(opened.get_by_role("heading", name="POST /checkout")).to_be_visible()
            opened.locator("summary", has_text="INSERT reservations").first.click()
            expect(opened.get_by_text("INSERT INTO reservations").first).to_be_visible()


def test_a_trace_that_is_not_held(page):
    """The page says so, and what to do."""
    page.goto("/trace/" + "9" * 32)
    expect(page.get_by_role("heading").first).to_contain_text("This trace is not held")
