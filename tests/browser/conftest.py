"""One viewer and one browser for all tests of this folder."""

from __future__ import annotations

import pytest

from tests.browser.chromium import need_browser, running_browser, watched_page
from tests.browser.viewer import running_viewer


@pytest.fixture(scope="package")
def browser():
    """A browser; skips where there is none."""
    need_browser()
    with running_browser() as made:
        yield made


@pytest.fixture(scope="package")
def viewer():
    """A viewer."""
    need_browser()
    with running_viewer() as made:
        yield made


@pytest.fixture
def page(browser, viewer):
    """A new page of the viewer."""
    with watched_page(browser, viewer.url) as made:
        yield made
