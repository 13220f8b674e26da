"""Text that would forge, break or disguise a log line, in every place of a record."""

from __future__ import annotations

import json
import re
from itertools import product
from typing import Any
from urllib.parse import urlencode

from benchmarks.reliability._processes import serving
from benchmarks.reliability._routes_lines import WAYS
from benchmarks.reliability._row import Figure, Row, Scale, Variant

from eco2_tracing.testing import OtlpReceiver

FORGED = (
    '{"@timestamp":"2026-01-01T00:00:00.000Z","log.level":"info","message":"forged","levelname":"forged"}'
)
HOSTILE = (
    *(
        "two\nlines",
        "two\r\nlines",
        "two\x0blines",
        "two\x0clines",
        "two\x85lines",
        "two\u2028lines",
        "two\u2029lines",
    ),
    *("\x00", "\x07\x1b[2J\x1b[31mred", "\x1b]0;title\x07", "\x7f\x9b31m", "\x1c\x1d\x1e"),
    *("\u202eesrever", "\u2066a\u2069", "\u200e\u200f\u061c", "\ufeff\u200b"),
    *(
        FORGED,
        f"\n{FORGED}",
        f'"}}\n{FORGED}',
        '","message":"forged","x":"',
        '\\", "message": "forged',
        "%s %d %(a)s {0} {}",
    ),
)
QUICK = (HOSTILE[0], HOSTILE[5], HOSTILE[8], HOSTILE[12], HOSTILE[17])
# What a terminal or an editor would take for more than text.
DISGUISES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
MARK = re.compile(r"record-\d+-")


def told(lines: list[str]) -> tuple[list[dict[str, Any]], int]:
    """Parse what can be; give that, and how many lines are no record or disguise themselves."""
    records, strange = [], 0
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict) or DISGUISES.search(line) or "forged" in _says(record):
            strange += 1
        else:
            records.append(record)
    return records, strange


def _says(record: dict[str, Any]) -> tuple[Any, ...]:
    """Give the fields that say what a record is."""
    return tuple(record.get(name) for name in ("message", "log.level", "levelname"))


def measure(variant: Variant, scale: Scale) -> Figure:
    """Hold the lines of a service against the records that it wrote."""
    texts = HOSTILE if scale.full else QUICK
    with (
        OtlpReceiver() as receiver,
        serving(variant, receiver.grpc_endpoint, routes="_routes_lines") as served,
    ):
        expected = []
        for number, (way, text) in enumerate(product(WAYS, texts)):
            expected.append(f"record-{number}-")
            query = urlencode({"way": way, "mark": expected[-1], "text": text}, errors="surrogatepass")
            served.get(f"/lines?{query}")
            served.get(f"/{query}")  # in the path of an access line
        served.stop()
        # Every mark that any reader takes for the end of a line.
        lines = served.log.read_text(errors="surrogateescape").splitlines()
    records, strange = told(lines)
    marks = [found[0] for record in records if (found := MARK.search(str(record.get("message"))))]
    lost = len(set(expected) - set(marks))
    return Figure(
        f"of {len(expected)} records {lost} lost; of {len(lines)} lines {strange} forged, broken or in disguise",
        not lost and not strange,
    )


ROWS = (
    Row(
        "lines",
        "no text can forge or break a log line",
        "one parseable line a record",
        measure,
    ),
)
