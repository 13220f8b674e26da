"""The service map, the comparison of two traces, and the builds of a service."""

from __future__ import annotations

import pytest

from tests.browser.chromium import expect, watched_page
from tests.browser.shop import build, cart, checkout
from tests.browser.viewer import running_viewer


@pytest.fixture(scope="module")
def shop(browser):
    """A viewer of its own, and the ids of a fast, a slow and a failed request."""
    with running_viewer() as viewer:
        viewer.send(*build(1, 60.0), *build(2, 20.0))
        made = cart(seconds_ago=9), cart(seconds_ago=6, slower=2.0), checkout(seconds_ago=3)
        yield viewer, [viewer.send(one) for one in made]


@pytest.fixture
def page(browser, shop):
    """A new page."""
    with watched_page(browser, shop[0].url) as made:
        yield made


def test_service_map(page):
    """Services, gateways, databases and other hosts, with the errors of calls; a node leads to its traces."""
    page.goto("/map")
    picture = page.locator("main svg")
    for name in ("istio-ingressgateway", "shop", "stock", "payment", "redis", "bank.example"):
        expect(picture.get_by_role("link").filter(has_text=name).first).to_be_visible()
    table = page.get_by_role("table", name="Calls")
    row = table.get_by_role("row").filter(has_text="payment").filter(has_text="bank.example")
    expect(row).to_contain_text("✖ 100 %")
    expect(table.get_by_role("row").filter(has_text="istio-ingressgateway")).to_contain_text("shop")
    picture.get_by_role("link").filter(has_text="payment").first.click()
    page.wait_for_url("**/?*service=payment*")
    expect(page.get_by_role("grid", name="Traces").get_by_role("link")).to_have_count(1)


def test_map_of_a_search(page):
    """Only the traces that are searched for."""
    page.goto("/map?service=basket")
    expect(page.locator("main svg").get_by_role("link").filter(has_text="basket").first).to_be_visible()
    expect(page.locator("main svg").get_by_text("payment")).to_have_count(0)


def test_comparison(page, shop):
    """Equal spans stand beside each other with their difference; the sides can be exchanged."""
    fast, slow, failed = shop[1]
    page.goto(f"/compare?left={fast}&right={slow}")
    row = page.get_by_role("row").filter(has_text="SELECT items")
    expect(row).to_contain_text("35.0 ms")
    expect(row).to_contain_text("93.0 ms")
    expect(row).to_contain_text("+58.0 ms")
    page.get_by_role("link", name="Swap").click()
    expect(row).to_contain_text("\N{MINUS SIGN}58.0 ms")
    page.goto(f"/compare?left={fast}&right={failed}")
    expect(page.get_by_role("row").filter(has_text="price the order")).to_contain_text("only")


def test_builds(page):
    """The routes of the two last builds of a service, and the comparison of typical requests."""
    page.goto("/builds?service=basket")
    row = page.get_by_role("row").filter(has_text="GET /basket")
    for text in ("40.0 ms → 80.0 ms", "2 → 3", "1 → 2"):
        expect(row).to_contain_text(text)
    row.get_by_role("link").click()
    page.wait_for_url("**/compare?*")
    expect(page.get_by_role("row").filter(has_text="SELECT basket").first).to_be_visible()
