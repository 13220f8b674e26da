"""Literals of SQL, JSON queries and commands are replaced. Names and placeholders are kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eco2_tracing._redaction import MASK, Redactor

STATEMENTS = [
    ("SELECT * FROM u WHERE n = 'it''s' AND x = 5", "SELECT * FROM u WHERE n = ? AND x = ?"),
    ('x = "sec" AND "u"."id" = "t"."id"', 'x = ? AND "u"."id" = "t"."id"'),
    ('INSERT INTO u ("a") VALUES (\'x\', "y")', 'INSERT INTO u ("a") VALUES (?, ?)'),
    ("a = 'C:\\' or b = 'secret' or c = 1", "a = ? or c = ?"),
    ("a = 'x\\'y' and b = $$secret$$", "a = ? and b = ?"),
    ('a = "x\\"y"', "a = ?"),
    ("SELECT $$abc$$, $tag$ $$ $tag$, $1", "SELECT ?, ?, $1"),
    ("x = 'unfinished", "x = ?"),
    ("WHERE card = 4111111111111111", "WHERE card = ?"),
    ("a=.5 b=-1e5 c=0xDEAD d=1_000 t1.c2 = 3", "a=? b=-? c=? d=? t1.c2 = ?"),
    ("id = 550e8400-e29b-41d4-a716-446655440000 AND on = TRUE", "id = ? AND on = ?"),
    ("a=:1 b=%s c=%(x)s d=:name e=@p1 f=? g=$12", "a=:1 b=%s c=%(x)s d=:name e=@p1 f=? g=$12"),
    ("E'a' N'b' X'ff' U&'d' _utf8'z' q'[it's]' nq'!it's!'", "E? N? X? U&? _utf8? ? ?"),
    ("q'{it's}' q'(it's)' q'<it's>' q'[it's", "? ? ? ?"),
    ('SELECT "it\'s" FROM t WHERE p = \'secret\'', 'SELECT "it\'s" FROM t WHERE p = ?'),
    ("SELECT `it's`, [it's] FROM t WHERE p = 'secret'", "SELECT `it's`, [it's] FROM t WHERE p = ?"),
    ("-- don't\nSELECT 'secret'", "--?\nSELECT ?"),
    ("# don't\nSELECT 'secret'", "#?\nSELECT ?"),
    ("SELECT /* user=41 */ /* x='1' */ 1", "SELECT /* user=? */ /*?*/ ?"),
    ("data #>> '{a,b}' = 'secret'", "data #>> ? = ?"),
    ('x IN ("s1", "s2") AND y LIKE "s3%"', "x IN (?, ?) AND y LIKE ?"),
    ('"z" BETWEEN "s4" AND 5', '"z" BETWEEN ? AND ?'),
    ("CREATE USER x IDENTIFIED BY 'secret'", "CREATE USER x IDENTIFIED BY ?"),
    ("SET password = hunter2", f"SET password = {MASK}"),
    ('{"email": "s1", "n": 41, "in": ["s2", "s3"], "on": true}', '{"email": ?, "n": ?, "in": [?, ?], "on": ?}'),
    ('{"a": "it\\"s secret"}', "{?}"),
    ("SELECT id, name FROM users ORDER BY name", "SELECT id, name FROM users ORDER BY name"),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "masked"), STATEMENTS)
@pytest.mark.parametrize("key", ["db.statement", "db.query.text"])
def test_literals(key, statement, masked):
    """Texts, numbers and booleans become `?`. Names, parameters and comments without quotes are kept."""
    assert Redactor().value(key, statement) == masked
    assert Redactor().value(key, masked) == masked


@pytest.mark.parametrize(
    ("system", "statement", "masked"),
    [
        ("mysql", 'SELECT "secret", concat("a", "b")', "SELECT ?, concat(?, ?)"),
        ("mariadb", 'WHERE "secret" = x', "WHERE ? = x"),
        ("postgresql", 'SELECT "userName" FROM "Users"', 'SELECT "userName" FROM "Users"'),
        ("redis", "SET session:1 secret EX 60\nGET session:1", "SET session:1 ? ? ?\nGET session:1"),
        ("memcached", "set key", "set ?"),
        (5, "SELECT 'secret'", "SELECT ?"),
    ],
)
@pytest.mark.parametrize("key", ["db.system", "db.system.name"])
def test_double_quotes_depend_on_the_database(key, system, statement, masked):
    """Double-quoted texts are literals in MySQL and names in PostgreSQL. Arguments of Redis commands are literals."""
    attributes = {key: system, "db.query.text": statement}
    assert (Redactor().attributes(attributes) or attributes)["db.query.text"] == masked


def test_a_clean_statement_is_not_copied():
    """A statement without literals gives no new mapping."""
    redactor = Redactor()
    for _ in range(2):
        statement = str(b"SELECT a FROM b WHERE c = $1", "ascii")  # equal texts, but different objects
        assert redactor.attributes({"db.query.text": statement}) is None


def test_the_cache_of_statements_is_limited():
    """A cached statement is masked like a new one. The cache has limits for entries and their length."""
    redactor = Redactor()
    for number in range(1_000):
        for _ in range(2):
            assert redactor.value("db.query.text", f"SELECT {number}") == "SELECT ?"
    redactor.value("db.query.text", f"SELECT '{'x' * 5_000}'")
    assert len(redactor._statements) <= 256
    assert all(len(text) <= 2048 for text, _ in redactor._statements)


@pytest.mark.parametrize("length", [100, 3_000, 40_000])
def test_statements_of_any_length(length):
    """Cached short statements, uncached long ones and truncated ones are masked."""
    statement = f"SELECT {', '.join(['x'] * (length // 3))} WHERE s = 'secret' AND t = '{'secret' * 9}"
    masked = Redactor().attributes({"db.query.text": statement})["db.query.text"]
    assert "secret" not in masked
    assert len(masked) <= 16 * 1024


CONTENT = st.text("ab'\"\\$-/*#`[]();:5 \n", max_size=8)
QUOTED = CONTENT.map(lambda text: "'" + text.replace("'", "''") + "'")
NAMED = CONTENT.map(lambda text: '"' + text.replace('"', '""') + '"')
TICKED = CONTENT.map(lambda text: f"`{text.replace('`', '')}`")
TAGGED = CONTENT.map(lambda text: f"$a$ {text.replace('$', '')} $a$")
COMMENTS = CONTENT.map(lambda text: f"/* {text.replace('*', '')} */") | CONTENT.map(
    lambda text: "-- " + text.replace("\n", "") + "\n"
)
WORDS = st.sampled_from(
    ["SELECT", "a", "=", ",", "(", ")", "IN (", "VALUES (", "t.x", "%s", "$1", ":n", "5", "1.5e3"]
)


@given(st.lists(st.one_of(QUOTED, NAMED, TICKED, TAGGED, COMMENTS, WORDS), max_size=8))
def test_a_literal_after_any_tokens_is_masked(tokens):
    """A literal is masked after any complete tokens, also with quotes in them."""
    statement = f"{' '.join(tokens)} WHERE a = 'S3CRET' AND b = 4111222233334444 AND c = $$S3CRET$$"
    masked = Redactor().value("db.query.text", statement)
    assert "S3CRET" not in masked
    assert "4111" not in masked


@given(st.text("SELECT'\"$-/*#`[](),.=: \n5xq", max_size=60))
def test_masking_twice_is_masking_once(statement):
    """Masking a masked statement changes nothing."""
    redactor = Redactor()
    once = redactor.value("db.query.text", statement)
    assert redactor.value("db.query.text", once) == once


def test_oracle_quotes_in_a_message():
    """`q'[…]'` and `nq'[…]'` in the statement of a message are masked."""
    redactor = Redactor()
    for opening in ("q'[", "nq'["):
        assert "S3CRET" not in redactor.text(f"failed: SELECT a FROM b WHERE c = {opening}it's S3CRET]'")
