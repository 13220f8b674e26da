"""Plain HTML of the list and of one trace, without script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, cast

from eco2_tracing._console.rows import duration
from eco2_tracing._console.terminal import UNLIMITED, Screen, escaped
from eco2_tracing._view.draw import text_of_trace
from eco2_tracing._view.search import SORTS, Query, Summary

if TYPE_CHECKING:
    from eco2_tracing._view.trace import StoredTrace

_HEAD = '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
_VIEWPORT = '<meta name="viewport" content="width=device-width">'
_COLUMNS = ("Start", "Service", "Root", "Status", "Duration", "Spans", "Errors")
_FIELDS = (("service", "Service"), ("route", "Route"), ("status", "Status"), ("text", "Text"))


def list_page(found: Sequence[Summary], query: Query, counts: Mapping[str, object]) -> str:
    """Return the page of the list."""
    rows = "".join(map(_row, found)) or f'<tr><td colspan="{len(_COLUMNS)}">No trace found</td></tr>'
    heads = "".join(f'<th scope="col">{each}</th>' for each in _COLUMNS)
    held = (
        f"{counts['traces']} traces with {counts['spans']} spans are held. "
        f"{counts['removed_traces']} older traces were removed to stay below the limit."
    )
    refused = cast("Mapping[str, int]", counts["refused"])
    held += "".join(f" Refused: {count} {reason}." for reason, count in refused.items())
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    return _page("Traces", f"<h1>Traces</h1>{_form(query)}<p>{_text(held)}</p>{table}")


def _form(query: Query) -> str:
    fields = "".join(
        f'<label>{label} <input name="{name}" value="{_text(str(getattr(query, name)))}"></label> '
        for name, label in _FIELDS
    )
    sorts = "".join(f"<option{' selected' * (name == query.sort)}>{name}</option>" for name in SORTS)
    return f'<form>{fields}<label>Sort <select name="sort">{sorts}</select></label> <button>Search</button></form>'


def _row(found: Summary) -> str:
    started = datetime.fromtimestamp(found.start_ns / 1e9).astimezone()
    link = f'<a href="/trace/{found.trace_id}">{_text(found.name or found.trace_id)}</a>'
    cells = (
        _text(found.service),
        link,
        _text(found.status),
        duration(found.duration_ns),
        str(found.spans),
        str(found.errors or ""),
    )
    return f"<tr><td>{started:%Y-%m-%d %H:%M:%S}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def trace_page(trace: StoredTrace) -> str:
    """Return the page of a trace: its tree as text."""
    text = text_of_trace(trace, Screen(colour=False, width=UNLIMITED))
    formats = " ".join(
        f'<a href="/api/traces/{trace.trace_id}/export?format={form}">{label}</a>'
        for form, label in (("otlp", "OTLP JSON"), ("jaeger", "Jaeger JSON"), ("md", "Markdown"))
    )
    body = f'<p><a href="/">All traces</a></p><h1>Trace {trace.trace_id}</h1><pre>{escape(text)}</pre><p>{formats}</p>'
    return _page(f"Trace {trace.trace_id}", body)


def missing_page(trace_id: str) -> str:
    """Return the page of a trace that is not held."""
    text = (
        f"No trace {_text(trace_id[:64])} is held. It has not arrived, or was removed as one of the oldest."
    )
    return _page("No such trace", f'<p><a href="/">All traces</a></p><p>{text}</p>')


def _page(title: str, body: str) -> str:
    return f"{_HEAD}{_VIEWPORT}<title>{_text(title)} · eco2-tracing</title><body>{body}</body></html>"


def _text(text: str) -> str:
    """Return a text of a span as it is, never as markup, with characters visible that are not."""
    return escape(escaped(text))
