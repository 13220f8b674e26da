"""Secrets in free text and SQL are masked, prose is kept, and the time is limited."""

from __future__ import annotations

import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eco2_tracing._redaction import MASK, Redactor, printable, truncate
from tests.support.hostile import Unreadable, UnreadableList, UnreadableText

PROSE = [
    "error code: 404, status code=5",
    "token count: 5 tokens, 3 tokens/s",
    "Invalid token: expired",
    "password: str = Field()",
    "Basic authentication failed. Basic info is here",
    "Bearer token required",
    "secretary=bob monkey=1 tokenizer=x next_token=3",
    "signal: SIGTERM received; design=flat",
    '"token": null, "password": none',
    "cookie jar is empty: nothing",
    "see http://host:8080/@scope/package",
    "the key is: under the mat",
    "token=",
    'password="" or nothing',
    "a: b = c",
    "",
]


@pytest.mark.parametrize("text", PROSE)
def test_ordinary_words_stay(text):
    """Prose about tokens and passwords is kept."""
    assert Redactor().text(text) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("password=hunter2, user=bob", f"password={MASK}, user=bob"),
        ("db_password: hunter2.", f"db_password: {MASK}."),
        ("dbPassword=x1", f"dbPassword={MASK}"),
        ("token:=abc", f"token:={MASK}"),
        ("secret => 's'", f"secret => '{MASK}'"),
        ('{"password": "hun\\"ter2", "a": 1}', f'{{"password": "{MASK}", "a": 1}}'),
        ("{'token': 'abc', 'x': 1}", f"{{'token': '{MASK}', 'x': 1}}"),
        ('{\\"password\\": \\"hunter2\\"}', f'{{\\"password\\": \\"{MASK}\\"}}'),
        ('"token": 123, "user": 1', f'"token": {MASK}, "user": 1'),
        ('"secret": ["a", "b"], 1', f'"secret": {MASK}, 1'),
        ('password="never closed', f'password="{MASK}'),
        ("password='never closed\\", f"password='{MASK}\\"),
        ("Authorization: Bearer abc.def", f"Authorization: {MASK}"),
        ('Authorization: Digest username="x", response="y"', f"Authorization: {MASK}"),
        ("Authorization: Bearer abcd.", f"Authorization: {MASK}"),
        ("token=expired, token: expired", f"token={MASK}, token: expired"),
        ("sent Bearer abcdef12 to", f"sent Bearer {MASK} to"),
        ("Basic dXNlcjpwYXNz", f"Basic {MASK}"),
        ("Cookie: a=b; c=d", f"Cookie: {MASK}"),
        ("{'cookie': 'a=b; c=d'}", f"{{'cookie': '{MASK}'}}"),
        ("[(b'authorization', b'Bearer x'), (b'a', b'b')]", f"[(b'authorization', b'{MASK}'), (b'a', b'b')]"),
        ("X-API-Key: 123", f"X-API-Key: {MASK}"),
        ("GET /x?code=abc&state=1 HTTP/1.1", f"GET /x?code={MASK}&state=1 HTTP/1.1"),
        ("GET /x?access%5Ftoken=abc HTTP", f"GET /x?access%5Ftoken={MASK} HTTP"),
        ("call https://u:p@h/x failed", f"call https://{MASK}:{MASK}@h/x failed"),
        ("jwt eyJhbGciOiJI.eyJzdWIi.c2ln.", f"jwt {MASK}."),
        ("password=eyJhbGciOiJI.eyJzdWIi.c2ln;", f"password={MASK};"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
            f"-----BEGIN RSA PRIVATE KEY-----{MASK}-----END RSA PRIVATE KEY-----",
        ),
        ("-----BEGIN PRIVATE KEY-----\ntoken=a", f"-----BEGIN PRIVATE KEY-----{MASK}"),
        ('token= "token": "abc', f'token= "{MASK}": "{MASK}'),
        ("Bearer token=\\", f"Bearer {MASK}"),
        ("İİ token=abc", f"İİ token={MASK}"),
        ("mytoken=a token=b", f"mytoken={MASK} token={MASK}"),
        ("token=,", "token=,"),
        ("token=a token=b", f"token={MASK} token={MASK}"),
    ],
)
def test_secrets_in_text(text, masked):
    """Each form of a secret in a message is masked."""
    assert Redactor().text(text) == masked


@given(
    st.text(max_size=80), st.sampled_from(["password=", '"token": "', "Authorization: Basic ", "api_key: "])
)
def test_a_secret_after_any_text_is_masked(before, form):
    """A secret is masked after any text."""
    assert "S3CRET" not in Redactor().text(f"{before} {form}S3CRET-value")


ENDLESS = [
    "a", "password=", "://", "eyj", "eyJa.", "'", "token='", 'token="\\', "&a=b", "bearer ", "://a:b",
    "cookie=a;", "token=[", "$a$", "%3D", "&code=%253Fcode%253D", "-----begin private key-----", "token=\\'",
    "?a", '="', "/;a=", "password: |\n ", "secret={", 'secret=["', "select 'x", "select a from ",
    "update x set ", "insert into ", "[parameters: ", "duplicate entry '", "key (a)=(", "key (",
    "row contains (", 'or near "', "<password>", "--token ", "cookie=a=b; ", '\\"token\\": \\"', "token_",
    "pass", "a.token", "/*", "q'[", "$", 'values ("', "input value for ", "[generated in ", "\\", "'\\",
    "token\\n", "token = ", "password '", "card_number", "[x'", "bearer\n ", "identified by ",
]  # fmt: skip


@pytest.mark.parametrize("piece", ENDLESS)
def test_ten_megabytes_take_bounded_time(piece):
    """The text is truncated before it is searched, and no pattern is quadratic."""
    text = piece * (10_000_000 // len(piece))
    redactor = Redactor()
    begin = time.process_time()
    for mask in (redactor.text, redactor.query, redactor.url):
        assert len(mask(text)) < 200_000
    redactor.attributes({"db.statement": text, "url.full": text, "x": text})
    assert time.process_time() - begin < 5  # a quadratic pattern would take half an hour


def test_truncation_is_marked():
    """A truncated text ends with an ellipsis, within the limit."""
    assert Redactor(limit=5).text("abcdefgh") == "abcd…"
    assert Redactor(limit=5).text("abcde") == "abcde"
    assert truncate("abc", 2) == "a…"


def test_objects_that_are_not_texts():
    """Any object is accepted. Methods of a subclass of `str` are not called."""
    assert Redactor().text(Unreadable()) == "<unprintable Unreadable>"
    assert Redactor().query(UnreadableText("token=a")) == f"token={MASK}"
    assert Redactor().url(12) == "12"
    assert printable(UnreadableText("a")) == "a"
    assert Redactor().text("\ud800 token=\udfff") == f"\ud800 token={MASK}"


@given(
    st.dictionaries(st.text(max_size=30), st.one_of(st.none(), st.text(), st.integers(), st.lists(st.text())))
)
def test_any_attributes(attributes):
    """Nothing raises, and a key is kept unless it contains a secret."""
    masked = Redactor().attributes(attributes)
    assert masked is None or {key for key in attributes if Redactor().text(key) == key} <= set(masked)


@pytest.mark.parametrize(
    ("key", "value", "masked"),
    [
        ("http.request.header.authorization", ("Bearer x",), (MASK,)),
        ("http.request.header.cookie", ["a=b", "c"], [MASK, MASK]),
        ("app.password", "x", MASK),
        ("app.password", 12345, MASK),
        ("app.password", b"x", MASK),
        ("app.password", "", ""),
        ("app.password", None, None),
        ("app.password", True, True),
        ("url.query", "token=x", f"token={MASK}"),
        ("url.full", "http://u:p@h/", f"http://{MASK}:{MASK}@h/"),
        ("http.target", "/a?sig=1", f"/a?sig={MASK}"),
        ("code", "abc", MASK),
        ("code", 5, 5),
        ("error.code", "abc", "abc"),
        ("code.function", "f", "f"),
        ("message", "token=abc", f"token={MASK}"),
        ("messages", ["token=abc", "b", 3], [f"token={MASK}", "b", 3]),
        ("http.route", "/token={token}", "/token={token}"),
        pytest.param("plain", UnreadableText("token=abc"), f"token={MASK}", id="unreadable text"),
        ("plain", ["a"], ["a"]),
        (5, "token=abc", f"token={MASK}"),
    ],
)
def test_attributes(key, value, masked):
    """A value is masked by a secret name, by the conventions' meaning of the name, or by its form."""
    given = {"http.request.method": "GET", key: value, "n": 1}
    changed = Redactor().attributes(given)
    assert (changed or given) == {"http.request.method": "GET", key: masked, "n": 1}
    assert (changed is None) == (masked == value)
    assert given[key] is value


def test_values_that_cannot_be_read_are_masked():
    """A list that raises on access is masked whole."""
    assert Redactor().attributes({"x": UnreadableList("ab")}) == {"x": MASK}


def test_long_attributes_are_truncated():
    """An attribute keeps 16 Ki characters."""
    (value,) = Redactor().attributes({"x": "a" * 20_000}).values()
    assert len(value) == 16 * 1024
    assert value.endswith("…")


def test_a_subclass_of_list_becomes_a_list():
    """The masked items are returned in a list of the built-in type."""

    class Other(list):
        """A list class of the application."""

    assert Redactor().value("x", Other(["token=abc"])) == [f"token={MASK}"]


def test_clean_attributes_are_not_copied():
    """Attributes without secrets give no new mapping."""
    attributes = {"http.request.method": "GET", "url.path": "/items/5", "http.response.status_code": 200}
    before = sys.getrefcount(attributes)
    assert Redactor().attributes(attributes) is None
    assert sys.getrefcount(attributes) == before
