"""Draws the output of the exporter `waterfall` as an SVG.

Run it as ``python benchmarks/waterfall_picture.py docs/images/waterfall.svg``.

The two services of the demo run under uvicorn and get real requests. The picture shows what auth-api printed, with
colours that follow the light or dark scheme of the reader.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import ExitStack
from html import escape
from pathlib import Path

import httpx

from eco2_tracing._cli.processes import Child
from eco2_tracing._cli.services import start_service, url_of
from eco2_tracing._cli.story import HANDLED, LOGIN, RECORDS

COLUMNS = 112
STEPS = (LOGIN, LOGIN, RECORDS, HANDLED)
CELL, LINE, PAD, SIZE = 7.8, 18, 14, 13
SGR = re.compile(r"\x1b\[([0-9;]*)m")
TRACE = re.compile(r"(?:\x1b\[2m)?\d\d:\d\d:\d\d\.\d{3}\S* \S*(?:GET|POST) /")
STYLES = {
    "1": "b", "2": "d", "31": "r", "32": "g", "33": "y", "34": "u", "35": "m", "36": "c",
}  # fmt: skip
CSS = """
rect { fill: #f6f8fa }
text { fill: #24292f; white-space: pre }
text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace }
.b { font-weight: 700 } .d { fill: #6e7781 } .r { fill: #cf222e } .g { fill: #1a7f37 } .y { fill: #9a6700 }
.u { fill: #0969da } .m { fill: #8250df } .c { fill: #1b7c83 }
@media (prefers-color-scheme: dark) {
  rect { fill: #161b22 } text { fill: #e6edf3 } .d { fill: #8b949e } .r { fill: #ff7b72 } .g { fill: #3fb950 }
  .y { fill: #d29922 } .u { fill: #58a6ff } .m { fill: #bc8cff } .c { fill: #39c5cf }
}
"""


def printed() -> list[str]:
    """Run the services; return the lines of the traces that auth-api printed."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "ECO2_"))}
    environ.pop("NO_COLOR", None)
    environ |= {"PYTHONUNBUFFERED": "1", "OTEL_TRACES_EXPORTER": "none", "NO_PROXY": "127.0.0.1"}
    with ExitStack() as stack:
        character = stack.enter_context(start_service("character_api", environ))
        environ |= {"CHARACTER_API_URL": url_of(character), "OTEL_TRACES_EXPORTER": "waterfall"}
        environ |= {"FORCE_COLOR": "1", "COLUMNS": str(COLUMNS)}
        auth: Child = stack.enter_context(start_service("auth_api", environ))
        with httpx.Client(base_url=url_of(auth), trust_env=False, timeout=10) as client:
            for step in STEPS:
                client.request(step.method, step.path, json=step.body)
            client.post("/api/v1/auth/refresh?token=4711")
        auth.stop()
        return [line for line in auth.lines if TRACE.match(line) or line.startswith("  ")]


def spans(line: str) -> str:
    """Convert a line with SGR sequences to elements of SVG."""
    made, at, style = [], 0, ""
    for text, codes in zip(*[iter([*SGR.split(line), ""])] * 2, strict=True):
        if text:
            names = " ".join(STYLES[code] for code in style.split(";") if code in STYLES)
            x = PAD + at * CELL
            made.append(f'<tspan x="{x:.1f}" class="{names}">{escape(text)}</tspan>')
            at += len(text)
        style = codes
    return "".join(made)


def picture(lines: list[str]) -> str:
    """Return the SVG."""
    width, height = PAD * 2 + COLUMNS * CELL, PAD * 2 + len(lines) * LINE
    rows = "\n".join(
        f'<text y="{PAD + SIZE + at * LINE}" xml:space="preserve">{spans(line)}</text>'
        for at, line in enumerate(lines)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}">'
        f'<style>{CSS}</style><rect width="100%" height="100%" rx="8"/>\n{rows}\n</svg>\n'
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(picture(printed()), encoding="utf-8")
