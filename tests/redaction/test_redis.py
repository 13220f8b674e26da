"""Redis commands: keys stay, values and generated ids go."""

from __future__ import annotations

import pytest

from eco2_tracing._redaction import MASK, Redactor, command_text

UUID = "550e8400-e29b-41d4-a716-446655440000"


def masked(text, redactor=None):
    """The text of a command as a span shows it."""
    attributes = {"db.system.name": "redis", "db.query.text": text}
    return ((redactor or Redactor()).attributes(attributes) or attributes)["db.query.text"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), ""),
        (("PING",), "PING"),
        (("GET", "user:42"), "GET user:42"),
        (("get", "user:42"), "get user:42"),
        (("SET", "user:42", "planted", "EX", 60), "SET user:42 ? ? ?"),
        (("SET", b"user:42", "planted"), "SET user:42 ?"),
        (("GET", 42), "GET 42"),
        (("GET", object()), "GET ?"),
        (("GET", "x" * 257), "GET ?"),
        (("MGET", "a", "b"), "MGET a b"),
        (("MSET", "a", "planted", "b", "planted"), "MSET a ? b ?"),
        (("RENAME", "a", "b"), "RENAME a b"),
        (("AUTH", "planted"), "AUTH ?"),
        (("EVAL", "return 'planted'", 0), "EVAL ? ?"),
    ],
)
def test_the_text_of_a_command(arguments, text):
    """Keys are known by the command."""
    assert command_text(arguments) == text
    assert masked(text) == text


def test_a_long_command():
    """The text of a command is limited."""
    assert len(command_text(["MGET", *(f"key:{number}" for number in range(5000))])) == 1000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SET user:42 planted EX 60", "SET user:42 ? ? ?"),
        ("SET user:42 planted\nGET user:42", "SET user:42 ?\nGET user:42"),
        ("SET user:42 planted\n\nPING", "SET user:42 ?\n\nPING"),
        ("GET session:9f8a7b6c5d4e3f2a1b0c", "GET session:?"),
        (f"GET order:{UUID}:items", "GET order:?:items"),
        (f"GET celery-task-meta-{UUID}", "GET celery-task-meta-?"),
        ("GET catalogue:products:winter", "GET catalogue:products:winter"),
        ("GET token:abcdef12", f"GET token:{MASK}"),
        ("GET cart:kim@example.com", "GET cart:kim@example.com"),
        ("NOPE planted", "NOPE ?"),
        ("", ""),
    ],
)
def test_keys_are_masked(text, expected):
    """Values that another instrumentation left in the text go, and ids of sessions and tokens in keys."""
    assert masked(text) == expected


def test_masked_names_of_the_configuration():
    """Keys below a name of `ECO2_TRACING_REDACT_KEYS` are masked, and numbers of `ECO2_TRACING_REDACT_NUMBERS`."""
    assert masked("GET cart:kim", Redactor({"cart"})) == f"GET cart:{MASK}"
    assert masked("GET person:900101-1234568", Redactor(numbers={"resident"})) == f"GET person:{MASK}"
