"""A headless Chromium, and pages that report what should not happen in them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, LocatorAssertions, Page

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
LAPTOP = {"width": 1366, "height": 768}
# Chromium reports it for each response of 4xx, such as that of a trace that is not held.
FOUND_NOTHING = "the server responded with a status of 404"


def missing() -> str | None:
    """Why there is no browser; `None` if there is one."""
    if find_spec("playwright") is None:
        return "playwright is not here: pip install playwright"
    if not any(map(shutil.which, NAMES)):
        return "no command chromium on PATH; Debian has it in chromium-headless-shell"
    return None


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Run a browser until the block ends."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, NAMES)))
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=path) as browser:
        yield browser


@contextmanager
def watched_page(browser: Browser, url: str, **options: object) -> Iterator[Page]:
    """Open an empty page; its addresses are relative to a URL.

    The block fails at its end if the page wrote to the console, raised, violated its Content-Security-Policy, or asked
    another host.

    Args:
        browser: The browser.
        url: The URL of the viewer.
        options: Options of the browser's context.
    """
    problems: list[str] = []
    with browser.new_context(base_url=url, **{"viewport": LAPTOP, **options}) as context:
        context.set_default_timeout(10_000)
        page = context.new_page()
        page.on("console", lambda message: problems.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on(
            "request", lambda request: problems.append(request.url) if _is_away(request.url, url) else None
        )
        page.add_init_script(
            "addEventListener('securitypolicyviolation', (event) =>"
            " console.error('violation', event.violatedDirective, event.blockedURI));"
        )
        yield page
        problems = [one for one in problems if FOUND_NOTHING not in one]
        assert not problems


def _is_away(asked: str, url: str) -> bool:
    return not asked.startswith((f"{url}/", "data:", "blob:", "about:"))


def need_browser() -> None:
    """Skip where there is no browser."""
    if (reason := missing()) is not None:
        pytest.skip(reason)


def expect(locator: Locator) -> LocatorAssertions:
    """Return Playwright's assertions, which wait."""
    from playwright.sync_api import expect as assertions

    return assertions(locator)
