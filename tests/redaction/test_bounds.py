"""The cost of masking is limited for a text, an attribute, a span and a log line."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
import traceback

import pytest
from opentelemetry.trace import SpanContext

from eco2_tracing import TracingSettings, configure_tracing, span
from eco2_tracing._redaction import MASK, Redactor
from eco2_tracing.logs import EcsFormatter
from eco2_tracing.testing import CapturedSpans
from tests.support.hostile import EndlessDict

from .forms import BENIGN_TEXTS, FORMS, TOKENS
from .planted import PLANTED
from .test_texts import ENDLESS

PIECES = [
    *ENDLESS, *(f"{text} " for text in PLANTED), *(f"{text}\n" for text, _ in FORMS),
    *(f"{text} " for text, _ in TOKENS), *(f"{text}\n" for text in BENIGN_TEXTS),
    "x", "0a1b", "A", "-", "select ", "select a,", "select 'x'", 'value "', "value ", 'near "', "line 1: ",
    "LINE 1: '",
    # Calls, URLs, pairs and commands.
    "call x('", "CALL x('", "EXEC x '", '"WITH ', "set password ", "?a=b", "a=b;", "%3D", "%2520", "//a:b@",
    "://a:b@h ",
    ":\\/\\/", "@", "thin:a/", "a:b@tcp", "name: password value: ", '"value": "x", "name": "password", ', "mysql -p",
    "mysql ", "curl -u a:b ", "; path=", "a=bcde; path=/ ", "AUTH ", "private key ", "비밀번호=x ", "\\u0041",
    "\\ube44\\ubc00", "- name: password\n  ", "12345678:AA", "sk-", "xsk-", "ghp_", "<name>password</name>", "env ",
    "login a ", "--token ", "-p ", "code=aB3dEfGh12345 ", "hooks.slack.com/services/", "SG.", "s.", "-us1", "1//",
    "'msg", "tokens={", "tokens=['", "curl -U a%",
]  # fmt: skip


def cpu(call, times=1):
    """Return the least CPU time of several calls, in nanoseconds."""
    durations = []
    for _ in range(times):
        begin = time.process_time_ns()
        call()
        durations.append(time.process_time_ns() - begin)
    return min(durations)


def growth(redactor, kind, piece, times):
    """Return the ratio of the times for an attribute of eight times the length."""
    small, large = ((piece * (length // len(piece) + 1))[:length] for length in (2_100, 16_800))
    # Beyond 16 Ki characters a fixed part is added, which must not count: short texts take 15 µs on Python 3.14.
    begin = max(cpu(lambda: redactor.attributes({kind: small}), times), 40_000)
    return cpu(lambda: redactor.attributes({kind: large}), times) / begin


@pytest.mark.parametrize(
    ("kind", "pieces"),
    [("note", PIECES), *((kind, PIECES[::4]) for kind in ("url.query", "url.full", "db.query.text"))],
)
def test_time_grows_with_the_length(kind, pieces):
    """A text of eight times the length takes about eight times as long. A quadratic pattern would take 64 times."""
    redactor = Redactor()
    slow = [piece for piece in pieces if growth(redactor, kind, piece, 1) > 32]
    assert [piece for piece in slow if growth(redactor, kind, piece, 5) > 32] == []


def searched(monkeypatch):
    """Return a list whose item counts the searched characters from now on."""
    from eco2_tracing._redaction.scanner import Scanner

    counted = [0]
    scan = Scanner._scan

    def counting(self, text, *arguments):
        counted[0] += len(text)
        return scan(self, text, *arguments)

    monkeypatch.setattr(Scanner, "_scan", counting)
    return counted


def test_an_attribute_has_one_bound(monkeypatch):
    """A list of 64 texts of 16 Ki characters has the same limit as one text of that length."""
    counted = searched(monkeypatch)
    items = Redactor().value("note", [f"value {number} token=abc " * 800 for number in range(64)])
    assert counted[0] <= 16 * 1024
    assert sum(map(len, items)) <= 20 * 1024
    assert items[0].startswith(f"value 0 token={MASK}")
    assert items[-1].endswith("…")
    nested = Redactor().value("note", {"a": [["x" * 10_000] * 10] * 10})
    assert len(str(nested)) <= 20 * 1024


def test_a_span_has_one_bound(monkeypatch):
    """Attributes, events and links share one budget. An ellipsis marks omitted text."""
    captured = CapturedSpans()
    configure_tracing(settings=TracingSettings(traces_exporter=("none",)), span_processors=(captured,))
    counted = searched(monkeypatch)
    long = "some value x=1 and more words " * 500
    with span("s") as current:
        for number in range(50):
            current.set_attribute(f"long.{number}", long)
            current.set_attribute(f"list.{number}", [long] * 4)
        for _ in range(20):
            current.add_event("e", {"note": long})
            current.add_link(SpanContext(1, 2, is_remote=True), {"note": long})
        current.set_attribute("last", "short")
    (one,) = captured.spans
    assert counted[0] <= 40 * 1024
    assert len(repr([one.attributes, one.events, one.links])) <= 100 * 1024
    assert "…" in repr(one.events)


def test_a_line_has_one_bound(monkeypatch):
    """A record with 500 fields of 8 Ki characters gives a line of at most 48 KiB."""
    counted = searched(monkeypatch)
    record = logging.LogRecord("a", 20, "", 1, "value x=1 " * 10_000, (), None)
    record.__dict__.update({f"field{number}": "some value x=1 and more " * 400 for number in range(500)})
    try:
        raise ValueError("value x=1 " * 10_000)
    except ValueError as error:
        record.exc_info = (ValueError, error, error.__traceback__)
    line = EcsFormatter().format(record)
    assert counted[0] <= 40 * 1024
    assert len(line) <= 48 * 1024
    assert json.loads(line)["message"].endswith("…")


def test_fields_beyond_the_limit_of_a_line_are_omitted():
    """The first fields are kept."""
    record = logging.LogRecord("a", 20, "", 1, "m", (), None)
    record.__dict__.update({f"field{number}": "x" * 8_192 for number in range(100)})
    labels = json.loads(EcsFormatter().format(record))["labels"]
    assert len(labels["field0"]) == 8_192
    assert sum(map(len, labels.values())) <= 32 * 1024


def test_a_trace_with_many_lines_keeps_its_end():
    """A trace within the limit is not truncated, even with many frames and words such as `value` and `select`."""
    trace = "".join(
        f'  File "f{number}.py", line {number}, in select_value\n    value = update(token)\n'
        for number in range(200)
    )
    text = f"Traceback (most recent call last):\n{trace}ValueError: bad value"
    assert len(text) < 16 * 1024
    assert Redactor().text(text) == text


def test_a_text_with_too_many_candidates_is_truncated():
    """The rest of the text is omitted, and an ellipsis marks its end."""
    redactor = Redactor()
    for piece in (
        "token=S3CRET ",
        "https://u:S3CRET@h ",
        "select 'S3CRET' ;",
        "Bearer S3CRET1 ",
        'or near "S3CRET" ',
    ):
        assert "S3CRET" not in redactor.text(piece * 2_000), piece
    assert redactor.text("token=abc " * 2_000).endswith("…")
    assert redactor.query("&".join(["a=1"] * 2_000)).endswith("…")
    assert redactor.query(";".join(["a=1"] * 2_000)).endswith("…")
    assert redactor.query("&".join(["a=%41"] * 2_000)).endswith("…")
    assert redactor.text(f"/x?{'&a=1' * 2_000}").endswith("…")
    assert redactor.value("db.query.text", "SELECT " + "'a'," * 2_000).endswith("…")
    assert redactor.text("SELECT 'a' FROM b\nError: x\n" * 1_000).endswith("…")


def test_an_ordinary_stack_trace_is_untouched():
    """The word `value` in a stack trace is not masked and does not exhaust the budget."""

    def fail(depth, value=1):
        return int("value") if not depth else fail(depth - 1, value)

    with pytest.raises(ValueError, match="invalid") as caught:
        fail(30)
    trace = "".join(traceback.format_exception(caught.value))
    assert Redactor().text(trace) == trace


def test_endless_mappings():
    """An endless mapping is read up to the limit of a value."""
    Redactor().value("x", EndlessDict(name="password"))
    record = logging.LogRecord("a", 20, "", 1, "m", (), None)
    record.field = EndlessDict(name="password")
    assert json.loads(EcsFormatter().format(record))["labels"]["field"] == '{"name":"password"}'


def test_a_mapping_has_the_bound_of_an_attribute():
    """Items beyond the limit are omitted."""
    masked = Redactor().value("x", {f"key{number}": "x" * 1_000 for number in range(100)})
    assert len(masked) < 20
    assert len(str(masked)) < 20 * 1024


def test_unsearched_text_is_masked():
    """A word with many prefixes and a text with many rejected inputs are masked beyond the budget."""
    redactor = Redactor()
    token = "ghp_" + "a1B2" * 9
    assert token not in redactor.text("xSK" * 3_000 + f"-{token}")
    refused = "{'msg': 'm', 'input': 'S3CRET'} " * 1_000
    assert "S3CRET" not in redactor.text(refused)
    assert "S3CRET" not in redactor.text("near " * 6_000 + 'or near "S3CRET"')


def test_a_span_of_many_short_texts(monkeypatch):
    """Each text of a list is charged to the span's budget, even a short one."""
    redactor = Redactor()
    calls = [0]
    scan = type(redactor)._scan

    def counting(self, text, *arguments):
        calls[0] += 1
        return scan(self, text, *arguments)

    monkeypatch.setattr(type(redactor), "_scan", counting)
    masked = redactor.attributes({f"l{number}": ["token=a"] * 1024 for number in range(128)})
    assert masked is not None
    assert masked["l0"][0] == f"token={MASK}"
    assert "token=a" not in str(masked)
    assert masked["l127"] == ["…"]
    assert calls[0] < 2_000


def test_searches_are_compiled_before_the_first_request():
    """No pattern is compiled after `prepare`."""
    code = """
import re
from eco2_tracing._redaction import Redactor
from eco2_tracing._redaction.lazy import _patterns
redactor = Redactor()
before = sum("search" in vars(one) for one in _patterns)
redactor.prepare()
assert before < len(_patterns) == sum("search" in vars(one) for one in _patterns)
compiled = re.compile
def count(*arguments):
    raise AssertionError(arguments)
re.compile = count
print(redactor.text("password=geheim Bearer abcdefgh1234567890 postgres://u:p@h/d?x=%2F"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "geheim" not in done.stdout


@pytest.mark.parametrize(
    "piece", ["bedrock-api-key-%3D", 'auth\\\\"x ', "select a, ", "//a:b@h ", "password=x ", "otp=0\n"]
)
def test_candidates_of_a_text_are_counted(piece):
    """A text with many candidates is searched within the budget. The rest is omitted or masked."""
    from eco2_tracing._redaction import Budget

    budget = Budget(12 * 1024)
    masked = Redactor().text(piece * 5_000, budget)
    assert -2 * 1024 <= budget.left < 12 * 1024
    assert masked.endswith(("…", MASK))


def test_the_items_of_a_span_are_counted():
    """The lists of a span have a common limit of items. An ellipsis replaces the rest."""
    captured = CapturedSpans()
    configure_tracing(settings=TracingSettings(traces_exporter=("none",)), span_processors=(captured,))
    with span("s") as current:
        for number in range(64):
            current.set_attribute(f"list.{number}", [1] * 1024)
        current.set_attribute("mapping", {"a": [1] * 10})
    attributes = captured.spans[0].attributes
    assert sum(len(value) for name, value in attributes.items() if name.startswith("list.")) <= 9 * 1024
    assert attributes["list.63"] in (["…"], ("…",), ())


def test_errors_of_pydantic_are_counted():
    """A text with many errors is searched within the budget, and the rest is masked."""
    redactor = Redactor()
    assert redactor.text(f"input {'[msg' * 10}") == f"input {'[msg' * 10}"
    masked = redactor.text("token=x input (" + "'msg" * 4_000 + "': '', 'input': 'S3CRET'")
    assert "S3CRET" not in masked
    assert masked.endswith(("…", MASK))


def test_one_long_attribute_has_the_bound_of_a_text():
    """An attribute alone is masked like a free text, although the span's budget is larger."""
    redactor = Redactor()
    text = "password=x " * 1_000
    assert redactor.attributes({"note": text}) == {"note": redactor.text(text)}


def test_lists_of_tokens_are_counted():
    """A text with many lists of tokens is searched within the budget, and the rest is masked."""
    text = "note tokens=[1] " * 1_000
    masked = Redactor().text(text + "tokens=['S3CRETvalue9']")
    assert "S3CRET" not in masked
    assert masked.startswith("note tokens=[1] ")


def test_programs_are_counted():
    """A text with many command lines is searched within the budget, and the rest is masked."""
    assert "S3CRET" not in Redactor().text("curl -s " * 500 + "mysql -pS3CRET ")


def test_a_field_with_an_uncertain_name_may_hold_any_value():
    """A field named `tokens` with numbers and nested values is written."""
    record = logging.LogRecord("a", 20, "", 1, "m", (), None)
    record.tokens = [1, {"a": [["S3CRETvalue9", 2.5]]}]
    assert json.loads(EcsFormatter().format(record))["labels"]["tokens"]
