"""A trace as a waterfall: the tree on the left, bars of time on the right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rich.text import Text

if TYPE_CHECKING:
    from eco2_tracing.testing import ReceivedSpan, ReceivedTrace

_COLOURS = ("magenta", "cyan", "green", "blue", "yellow")
_LABEL, _NOTE, _TIME = 46, 22, 10  # cells; the rest of a line is the bar's
_NARROWEST = 10  # cells of the bar column in a narrow terminal


def colours(services: tuple[str, ...]) -> dict[str, str]:
    """A colour for each service, in the order given."""
    return {service: _COLOURS[at % len(_COLOURS)] for at, service in enumerate(services)}


def bar(start: float, end: float, width: int) -> str:
    """Draw a bar to the half cell.

    Args:
        start: Its start, as a share of the line from 0 to 1.
        end: Its end, from `start` to 1.
        width: Cells of the line.

    Returns:
        A line of `width` characters; the bar is at least half a cell long.
    """
    first = min(int(start * width * 2), width * 2 - 1)
    last = max(round(end * width * 2), first + 1)
    halves = [first <= half < last for half in range(width * 2)]
    forms = {(False, False): " ", (True, True): "━", (True, False): "╸", (False, True): "╺"}
    return "".join(forms[left, right] for left, right in zip(halves[::2], halves[1::2], strict=True))


def _guides(trace: ReceivedTrace) -> Iterator[tuple[str, ReceivedSpan]]:
    """Each span with the tree lines in front of its name."""

    def below(span: ReceivedSpan, stem: str) -> Iterator[tuple[str, ReceivedSpan]]:
        children = trace.children(span)
        for child in children:
            is_last = child is children[-1]
            yield stem + ("└╴" if is_last else "├╴"), child
            yield from below(child, stem + ("  " if is_last else "│ "))

    for top in trace.tops:
        yield "", top
        yield from below(top, "")


def _status(span: ReceivedSpan) -> str:
    """The status code of an HTTP span; Zipkin spans use the older attribute."""
    for key in ("http.response.status_code", "http.status_code"):
        if key in span.attributes:
            return str(span.attributes[key])
    return ""


def _note(span: ReceivedSpan) -> Text:
    """The last column: status code, error type, attributes `app.*`."""
    note = Text(_status(span), style="bold red" if span.is_error else "green")
    if span.is_error:
        kind = str(span.attributes.get("error.type", ""))
        if kind and kind != _status(span):
            note.append(f" {kind.rpartition('.')[2]}")
        return note
    own = {key: value for key, value in span.attributes.items() if key.startswith("app.")}
    return note.append(" ".join(f"{key[4:]}={value}" for key, value in own.items()), style="dim")


def _label(guide: str, span: ReceivedSpan, service: str) -> Text:
    """The first column: tree lines, the service if it differs from the line above, the name."""
    label = Text(guide, style="dim")
    if service:
        label.append(f"{span.service} ", style=f"bold not dim {service}")
    label.append(span.name, style="not dim")
    target = urlsplit(str(span.attributes.get("url.full", ""))).path
    return label.append(f" {target}" if target else "")


def _cells(text: Text, width: int, *, pad: bool = False) -> Text:
    text.truncate(width, overflow="ellipsis", pad=pad)
    return text


def waterfall(trace: ReceivedTrace, colour: Mapping[str, str], width: int) -> Text:
    """Draw a trace.

    Args:
        trace: A trace of at least one span.
        colour: The colour of each service.
        width: Cells of a line.

    Returns:
        One line a span: its label, bar, duration and status.
    """
    begin = min(span.start_ns for span in trace.spans)
    whole = max(max(span.end_ns for span in trace.spans) - begin, 1)
    length = max(width - _LABEL - _NOTE - _TIME - 6, _NARROWEST)
    lines, before = [], ""
    for guide, span in _guides(trace):
        style = colour.get(span.service, "white")
        line = bar((span.start_ns - begin) / whole, (span.end_ns - begin) / whole, length)
        label = _label(guide, span, style if span.service != before else "")
        before = span.service
        lines.append(
            Text.assemble(
                _cells(label, _LABEL, pad=True),
                "  ",
                (line, "red" if span.is_error else style),
                f"{span.duration_ms:>{_TIME - 3},.1f} ms  ",
                _cells(_note(span), _NOTE),
            )
        )
    return Text("\n").join(lines)
