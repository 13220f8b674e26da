"""A trace as one HTML file without script, which a browser opens without a server."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from eco2_tracing._console.lines import error_of as error_of_line
from eco2_tracing._console.lines import fields_of, message_of, moment_of
from eco2_tracing._console.rows import Row, duration, error_of, status_of, title_of
from eco2_tracing._console.terminal import escaped
from eco2_tracing._view.rows import forest_of, limited, rows_of
from eco2_tracing._view.trace import StoredTrace, shown

if TYPE_CHECKING:
    from eco2_tracing._console.lines import LogLine
    from eco2_tracing._view.rows import Forest
    from eco2_tracing.testing import ReceivedSpan

_MOST_SPANS, _MOST_LINES = 5000, 5000
_MOST_EVENTS = 64  # of one span; also its links
_MOST_BYTES = 16 * 1024 * 1024  # of the details of all spans
_MOST_LISTED = 20  # exceptions at the top, remarks, resources
_LONGEST = 16 * 1024
_OPEN = 3  # exceptions whose stacks are shown at once
_DEEPEST = 24  # steps of indentation
_COLOURS = 5
_WIDTH = 10_000  # of the drawing of a bar


def html_of(trace: StoredTrace) -> str:
    """Return a trace as a document of HTML. What spans and log records hold is text in it, never markup."""
    return "".join(_File(trace).parts())


def stylesheet() -> str:
    """Return the content of the document's only ``style`` element."""
    depths = "".join(f".d{depth} {{ --depth: {depth}; }}\n" for depth in range(1, _DEEPEST + 1))
    return Path(__file__).with_suffix(".css").read_text("utf-8") + depths


class _File:
    """One document."""

    def __init__(self, trace: StoredTrace) -> None:
        self._trace = trace
        self._forest: Forest = forest_of(trace)
        self._rows: Sequence[Row] = rows_of(self._forest)
        self._begin = self._rows[0].start if self._rows else 0
        self._whole = max(max((row.end for row in self._rows), default=0) - self._begin, 1)
        services = dict.fromkeys(span.service for span in self._forest.spans)
        self._colours = {service: at % _COLOURS for at, service in enumerate(services)}
        resources = {id(span.resource): limited(span.resource) for span in self._forest.spans}
        self._resources = list({shown(resource): resource for resource in resources.values()}.values())
        self._left = _MOST_BYTES

    def parts(self) -> Iterator[str]:
        """Yield the document in pieces."""
        style = stylesheet()
        digest = b64encode(sha256(style.encode()).digest()).decode()
        policy = f"default-src 'none'; style-src 'sha256-{digest}'"
        title = _text(title_of(self._rows[0])) if self._rows else "Trace without spans"
        yield (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="content-security-policy" content="{policy}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{title} · trace {self._trace.trace_id}</title>\n<style>{style}</style>\n</head>\n<body>\n"
            f"<header>\n<h1>{title}</h1>\n{self._facts()}</header>\n<main>\n"
        )
        yield from self._exceptions()
        yield from self._waterfall()
        yield from self._tables_of_resources()
        yield "</main>\n</body>\n</html>\n"

    def _facts(self) -> str:
        facts = {"Trace": self._trace.trace_id}
        if self._rows:
            started = datetime.fromtimestamp(self._begin / 1e9, UTC)
            errors = sum(row.failed for row in self._rows)
            facts |= {
                "Start": f"{started:%Y-%m-%d %H:%M:%S}.{started.microsecond // 1000:03d} UTC",
                "Duration": duration(self._whole),
                "Spans": f"{len(self._rows)}; errors: {errors}; log lines: {len(self._trace.lines)}",
                "Services": ", ".join(service or "?" for service in list(self._colours)[:_MOST_LISTED]),
            }
        facts |= {f"Remark {at}": remark for at, remark in enumerate(self._forest.remarks, 1)}
        return (
            f"<dl>{''.join(f'<dt>{key}</dt><dd>{_text(value)}</dd>' for key, value in facts.items())}</dl>\n"
        )

    def _exceptions(self) -> Iterator[str]:
        """Yield the exceptions with their stacks, each with a link to its span."""
        found: dict[str, tuple[int, str]] = {}
        for at, span in enumerate(self._forest.spans[:_MOST_SPANS]):
            for event in span.events[:_MOST_EVENTS] if span.is_error else ():
                if event.name == "exception" and len(found) < _MOST_LISTED:
                    stack = str(event.attributes.get("exception.stacktrace", ""))
                    found.setdefault(_exception(event.attributes), (at, stack))
        if found:
            yield "<section>\n<h2>Exceptions</h2>\n"
        for number, (text, (at, stack)) in enumerate(found.items()):
            place = f"{self._forest.spans[at].service or '?'} {self._rows[at].name}"
            yield (
                f"<details{' open' * (number < _OPEN)}><summary>{_text(text)}</summary>\n"
                f'<p>in <a href="#s{at}">{_text(place)}</a></p>\n{_block(stack) if stack else ""}</details>\n'
            )
        if found:
            yield "</section>\n"

    def _waterfall(self) -> Iterator[str]:
        yield '<section>\n<h2>Spans and log lines</h2>\n<ol class="rows">\n'
        spans = lines = 0
        for depth, item in self._items():
            if isinstance(item, int):
                spans += 1
                if spans <= _MOST_SPANS:
                    yield self._span(item, depth)
            else:
                lines += 1
                if lines <= _MOST_LINES:
                    yield self._line(item, depth)
        yield "</ol>\n"
        for count, most, what in ((spans, _MOST_SPANS, "spans"), (lines, _MOST_LINES, "log lines")):
            if count > most:
                yield f"<p>… {count - most} more {what}</p>\n"
        yield "</section>\n"

    def _items(self) -> Iterator[tuple[int, int | LogLine]]:
        """Yield the indexes of spans, and log lines, in the order of the tree; each with its depth."""
        below: dict[int, list[tuple[int, int | LogLine]]] = {}
        by_id: dict[object, int] = {}
        for at, (span, up) in enumerate(zip(self._forest.spans, self._forest.parents, strict=True)):
            by_id.setdefault(span.span_id, at)
            below.setdefault(up, []).append((span.start_ns, at))
        first = self._forest.parents.index(-1) if self._rows else -1
        for line in self._trace.lines:
            below.setdefault(by_id.get(line.get("span.id"), first), []).append((moment_of(line), line))
        waiting = [(0, item) for _, item in _by_time_reversed(below.get(-1, []))]
        while waiting:
            depth, item = waiting.pop()
            yield depth, item
            if isinstance(item, int):
                waiting += [(depth + 1, each) for _, each in _by_time_reversed(below.get(item, []))]

    def _span(self, at: int, depth: int) -> str:
        span, row = self._forest.spans[at], self._rows[at]
        took = duration(row.end - row.start)
        note = " ".join(filter(None, ("✖ error" * row.failed, status_of(row), error_of(row))))
        level = f"{depth + 1}: " if depth > _DEEPEST else ""
        name = f"{level}<b>{_text(span.service or '?')}</b> {escape(title_of(row))}"
        classes = f"{_depth(depth)} s{self._colours[span.service]}{' error' * row.failed}"
        return (
            f'<li class="{classes}"><details id="s{at}"><summary>'
            f'<span class="name"><span class="apart">level {depth + 1}, </span>{name} '
            f'<span class="note">{escape(note)}</span></span>'
            f'{self._bar(row)}<span class="took">{took}</span></summary>\n{self._body(span, row)}</details></li>\n'
        )

    def _bar(self, row: Row) -> str:
        left = min(max(row.start - self._begin, 0) * _WIDTH // self._whole, _WIDTH - 1)
        width = max(min((row.end - row.start) * _WIDTH // self._whole, _WIDTH - left), _WIDTH // 400)
        left = min(left, _WIDTH - width)
        return (
            f'<svg viewBox="0 0 {_WIDTH} 10" preserveAspectRatio="none" aria-hidden="true">'
            f'<rect x="{left}" y="2" width="{width}" height="6"/></svg>'
        )

    def _body(self, span: ReceivedSpan, row: Row) -> str:
        """Return the details of a span, while there is room for them."""
        if self._left <= 0:
            return '<p class="body">The details are left out: the file has reached its largest size.</p>\n'
        body = f'<div class="body">{"".join(self._details(span, row))}</div>\n'
        self._left -= len(body)
        return body

    def _details(self, span: ReceivedSpan, row: Row) -> Iterator[str]:
        facts = {
            "kind": span.kind.name.lower(),
            "starts": f"{duration(row.start - self._begin)} after the first span",
            "status": span.status.name.lower(),
            "status description": span.status_description,
            "span id": span.span_id,
            "parent span id": span.parent_span_id or "",
            "scope": span.scope,
            "tracestate": span.trace_state,
        }
        yield _table("Span", {key: value for key, value in facts.items() if value})
        yield _table("Attributes", limited(span.attributes))
        for event in span.events[:_MOST_EVENTS]:
            when = f"{event.name}, {duration(event.time_ns - self._begin)} after the first span"
            fields = limited(event.attributes)
            stack = fields.pop("exception.stacktrace", "")
            yield _table(f"Event {when}", fields or {"attributes": "none"})
            if stack:
                yield _block(str(stack))
        for link in span.links[:_MOST_EVENTS]:
            ids = {"trace id": link.trace_id, "span id": link.span_id}
            yield _table("Link", ids | limited(link.attributes))
        more = sum(max(len(each) - _MOST_EVENTS, 0) for each in (span.events, span.links))
        yield f"<p>… {more} more events and links</p>" if more else ""

    def _line(self, line: LogLine, depth: int) -> str:
        level = str(line.get("log.level", ""))[:16]
        kind = "error " if level in ("error", "critical") else "warning " if level == "warning" else ""
        moment = moment_of(line)
        when = f"{(moment - self._begin) / 1e6:+.0f} ms" if moment and self._begin else ""
        error, fields = error_of_line(line)[:_LONGEST], fields_of(line)[:_LONGEST]
        stack = str(line.get("error.stack_trace") or "")
        text = f'<span class="text">{escape(message_of(line)[:_LONGEST])}</span> {escape(fields)}'
        if error:
            text += f' <span class="error">{escape(error)}</span>'
        body = (
            f"<details><summary>Stack</summary>{_block(stack)}</details>" if stack and self._left > 0 else ""
        )
        self._left -= len(body)
        return (
            f'<li class="{kind}log {_depth(depth)}">{when} <span class="level">{_text(level.upper())}</span> '
            f"{text}{body}</li>\n"
        )

    def _tables_of_resources(self) -> Iterator[str]:
        if not self._resources:
            return
        yield "<section>\n<h2>Resources</h2>\n"
        for resource in self._resources[:_MOST_LISTED]:
            yield _table(str(resource.get("service.name", "?")), resource) + "\n"
        yield "</section>\n"


def _by_time_reversed(items: list[tuple[int, int | LogLine]]) -> list[tuple[int, int | LogLine]]:
    return sorted(items, key=lambda pair: pair[0])[::-1]


def _depth(depth: int) -> str:
    return f"d{min(depth, _DEEPEST)}"


def _exception(attributes: Mapping[str, object]) -> str:
    kind, message = (str(attributes.get(f"exception.{key}", ""))[:500] for key in ("type", "message"))
    return f"{kind}: {message}" if message else kind or "exception"


def _table(caption: str, values: Mapping[str, object]) -> str:
    """Return a table of two columns; nothing without values."""
    rows = "".join(
        f'<tr><th scope="row">{_text(key)}</th><td>{_text(shown(value)[:_LONGEST])}</td></tr>'
        for key, value in values.items()
    )
    return f"<table><caption>{_text(caption[:_LONGEST])}</caption>{rows}</table>" if rows else ""


def _block(text: str) -> str:
    """Return the last lines of a long text, in lines."""
    lines = text[-_LONGEST:].rstrip("\n").split("\n")
    return f"<pre>{chr(10).join(map(_text, lines))}</pre>"


def _text(text: str) -> str:
    """Return a text as it is, never as markup, with characters visible that are not."""
    return escape(escaped(text))
