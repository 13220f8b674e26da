"""Secrets in query strings and URLs are masked. All other characters are kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eco2_tracing._redaction import MASK, Redactor

SECRET_KEYS = [
    "access_token", "token", "id_token", "refresh_token", "api_key", "apikey", "api-key", "x-api-key",
    "password", "passwd", "pwd", "secret", "client_secret", "authorization", "proxy-authorization",
    "cookie", "set-cookie", "code", "X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token",
    "AWSAccessKeyId", "Signature", "sig", "X-Goog-Signature",
]  # fmt: skip
HARMLESS_KEYS = [
    "page", "zipcode", "error_code", "code_challenge", "token_type", "page_token", "tokenizer", "passwordless",
    "secretary", "monkey", "signal", "design", "cookies_accepted", "",
]  # fmt: skip


@pytest.mark.parametrize("case", [str, str.upper, str.lower, str.title])
@pytest.mark.parametrize("key", SECRET_KEYS)
def test_secret_keys_in_any_case(key, case):
    """The value of a secret name is masked in any case of the name."""
    assert Redactor().query(f"a=1&{case(key)}=s3cret&b=2") == f"a=1&{case(key)}={MASK}&b=2"


@pytest.mark.parametrize("key", HARMLESS_KEYS)
def test_names_that_are_not_secret(key):
    """The value of a name that only resembles a secret's name is kept."""
    assert Redactor().query(f"{key}=value") == f"{key}=value"


@pytest.mark.parametrize(
    ("query", "masked"),
    [
        ("access%5Ftoken=x", f"access%5Ftoken={MASK}"),
        ("%74oken=x&%74=y", f"%74oken={MASK}&%74=y"),
        ("token=a&token=b", f"token={MASK}&token={MASK}"),
        ("a=1;token=x;b=2", f"a=1;token={MASK};b=2"),
        ("password=a;b&c=1", f"password={MASK}&c=1"),
        ("token=", "token="),
        ("token", "token"),
        ("user[password]=x", f"user[password]={MASK}"),
        ("db_password=x&accessToken=y", f"db_password={MASK}&accessToken={MASK}"),
        ("next=https://h/?token=x", f"next=https://h/?token={MASK}"),
        ("next=https%3A%2F%2Fu%3Ap%40h%2F", f"next=https%3A%2F%2F{MASK}%3A{MASK}%40h%2F"),
        ("next=https%3A%2F%2Fh%2F%3Fcode%3Dx%26b%3D1", f"next=https%3A%2F%2Fh%2F%3Fcode%3D{MASK}%26b%3D1"),
        ("data=code%3Dx", f"data=code%3D{MASK}"),
        ("f=%7B%22password%22%3A%22x%22%7D", f"f=%7B%22password%22%3A%22{MASK}%22%7D"),
        ("a=%ED%95%9C&b=%zz&&=&==", "a=%ED%95%9C&b=%zz&&=&=="),
        ("token=%ff%00", f"token={MASK}"),
        ("a=b=c%20d", "a=b=c%20d"),
    ],
)
def test_forms(query, masked):
    """Secrets are masked with encoded names, repeated names, `;` as separator, and in URLs within values."""
    assert Redactor().query(query) == masked


def test_nesting_is_limited():
    """A value nested below the deepest level is kept."""
    deep = "a=" * 5 + "1"
    assert Redactor().query(deep) == deep


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        (
            "https://u:p@h/a?code=1#access_token=2",
            f"https://{MASK}:{MASK}@h/a?code={MASK}#access_token={MASK}",
        ),
        ("https://token@github.test/x", f"https://{MASK}:{MASK}@github.test/x"),
        ("//u@h/x", f"//{MASK}:{MASK}@h/x"),
        ("postgres://u:p/w@host/db", f"postgres://{MASK}:{MASK}@host/db"),
        ("http://h:80/@a/b@c", "http://h:80/@a/b@c"),
        ("http://[::1]:80/a@b", "http://[::1]:80/a@b"),
        ("/a;token=1/b?x=1", f"/a;token={MASK}/b?x=1"),
        ("/a#/r?x=1&token=2", f"/a#/r?x=1&token={MASK}"),
        ("/plain/path", "/plain/path"),
        ("?", "?"),
    ],
)
def test_urls(url, masked):
    """Secrets are masked in user information, path parameters, query and fragment."""
    assert Redactor().url(url) == masked


def test_extra_keys():
    """Additional keys match whole names, in any case and with any separators."""
    redactor = Redactor(["Patient-SSN", "", "session_token", "주민번호"])
    assert redactor.query("patient_ssn=1&patientSsn=2&ssn=3") == f"patient_ssn={MASK}&patientSsn={MASK}&ssn=3"
    assert (
        redactor.query("%EC%A3%BC%EB%AF%BC%EB%B2%88%ED%98%B8=1")
        == f"%EC%A3%BC%EB%AF%BC%EB%B2%88%ED%98%B8={MASK}"
    )
    assert redactor.text("ssn of x, patient_ssn=12") == f"ssn of x, patient_ssn={MASK}"


def test_long_names():
    """The end of a long name decides."""
    assert Redactor().query("x." * 8_000 + "password=1").endswith(f"password={MASK}")


@given(st.lists(st.tuples(st.sampled_from(HARMLESS_KEYS[:-1]), st.text("abcXYZ09%+._-~한", max_size=9))))
def test_clean_queries_stay_byte_for_byte(pairs):
    """A query without secrets is returned unchanged."""
    query = "&".join(f"{key}={value}" for key, value in pairs)
    assert Redactor().query(query) == query


@given(st.text(max_size=60), st.sampled_from(SECRET_KEYS), st.text("abc", max_size=60))
def test_a_secret_among_any_parameters_is_masked(before, key, after):
    """A secret parameter is masked with any text before and after it."""
    query = f"{before}&{key}=S3CRET-value&{after}"
    assert "S3CRET" not in Redactor().query(query)
    assert "S3CRET" not in Redactor().url(f"https://h/?{query}")


@given(st.text(max_size=200))
def test_masking_twice_is_masking_once(text):
    """Masking a masked text changes nothing."""
    redactor = Redactor()
    for mask in (redactor.query, redactor.url, redactor.text):
        assert mask(mask(text)) == mask(text)
