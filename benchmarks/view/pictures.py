"""Writes the pictures of `docs/view.md`: ``python -m benchmarks.view.pictures``.

It needs the groups ``test`` and ``browser``, Pillow and a Chromium.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from tests.browser.chromium import running_browser
from tests.browser.made import send
from tests.browser.shop import build, cart, checkout, day
from tests.browser.viewer import Viewer, running_viewer

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FOLDER = Path(__file__).parents[2] / "docs" / "images"
SIZE = {"width": 1280, "height": 720}
READY = "main [role=treegrid] .span-row, main [role=grid] [role=row], main table td"


def paths(viewer: Viewer) -> dict[str, str]:
    """Send traces; return the path of each picture's page."""
    send(viewer.otlp, day())
    for number, seconds_ago in ((1, 60), (2, 5)):
        send(viewer.otlp, build(number, seconds_ago))
    before = viewer.send(cart(seconds_ago=30))
    after = viewer.send(cart(seconds_ago=8, slower=2))
    failed = viewer.send(checkout())
    return {
        "list": "/",
        "trace": f"/trace/{failed}",
        "map": "/map",
        "compare": f"/compare?left={before}&right={after}",
        "builds": "/builds",
    }


def take(browser: Browser, viewer: Viewer, scheme: str, pages: dict[str, str]) -> None:
    """Write the pictures of one colour scheme."""
    from PIL import Image

    ending = "" if scheme == "light" else "-dark"
    with browser.new_context(base_url=viewer.url, viewport=SIZE, color_scheme=scheme) as context:
        page = context.new_page()
        for name, path in pages.items():
            page.goto(path)
            page.wait_for_selector(READY)
            page.wait_for_function(
                "() => document.fonts.status === 'loaded' && !document.querySelector('[aria-busy=true]')"
            )
            image = Image.open(BytesIO(page.screenshot())).convert("RGB")
            small = image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
            small.save(FOLDER / f"view-{name}{ending}.png", optimize=True)


def main() -> None:
    """Write all."""
    with running_viewer() as viewer, running_browser() as browser:
        pages = paths(viewer)
        for scheme in ("light", "dark"):
            take(browser, viewer, scheme, pages)


if __name__ == "__main__":
    main()
