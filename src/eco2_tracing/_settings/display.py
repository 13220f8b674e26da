"""Values of settings as logs and dumps show them: credentials masked, in any setting.

The values stay as they are: text that contains a credential is a `str` whose ``repr`` is masked.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import unquote

from pydantic import SecretStr

from eco2_tracing._redaction import MASK as _MASKED
from eco2_tracing._redaction import Redactor

MASK = "**********"
_Value = TypeVar("_Value")
# Greedy: a password with a slash makes no valid URL, and is still a password.
_USERINFO = r"(^|//|['\"])\S*@"
_URL = r"(?i)\b[a-z][a-z0-9+.-]{0,20}://[^\s'\",;|]+"
# Words in the paths of receivers; another word in a path may be a token.
_PATH_WORDS = frozenset(
    """api apm collect collector collectors data default dev development export gateway grpc http ingest ingester
    insert intake jaeger logs metrics observability opentelemetry otel otlp prod production proxy public push
    receiver rest sampling signoz spans staging telemetry tempo trace traces tracing write zipkin""".split()  # noqa: SIM905 - a list of fifty literals is no easier to read
)
_VERSION = r"v\d{1,3}(?:\.\d{1,3})?(?:(?:alpha|beta|development)\d?)?"
_HOST_AND_PORT = r"[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){0,8}:\d{1,5}"  # behind a scheme that is misspelled
_OPAQUE = r"[A-Za-z0-9+/=~_-]{16,}"
_CHANGES = r"[A-Za-z](?=[0-9])|[0-9](?=[A-Za-z])"
_MOST_CHANGES = 3
_FACTS = ("service_name", "service_version", "environment")
_WORDS_ALONE = "[a-z_]*"


class SecretText(str):
    """Text that contains a credential: a `str` like any other, whose ``repr`` is masked."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the masked text, quoted."""
        return repr(shown_text(self))


class SecretMapping(dict[str, object]):
    """A mapping with credentials among its values: a `dict` like any other, whose ``repr`` is masked."""

    def __repr__(self) -> str:
        """Return the masked mapping."""
        return repr(shown_mapping(self))

    __str__ = __repr__


def shown_text(text: str, *, random: bool = True) -> str:
    """Return a text with its credentials masked; if ``random``, also words that look random, which may be tokens."""
    if re.fullmatch(_WORDS_ALONE, text):
        return text  # the name of a sampler, for example: a start with good values compiles no search
    text = re.sub(_USERINFO, rf"\1{MASK}@", text)
    text = re.sub(_URL, lambda found: shown_endpoint(found[0]), text)
    text = _redactor().text(text)
    return re.sub(_OPAQUE, _shown_word, text) if random else text


def is_credential(text: str) -> bool:
    """Return whether a text that should be a host is a credential of a known form."""
    return "://" not in text and "@" not in text and _redactor().text(text) != text


def shown_endpoint(endpoint: str) -> str:
    """Return an endpoint without user information, query and fragment; possible tokens in its path are masked."""
    before, at, after = endpoint.rpartition("@")
    if at:
        endpoint = f"{before.partition('//')[0]}//{after}" if "//" in before else after
    endpoint = re.split("[?#]", endpoint, maxsplit=1)[0]
    scheme, mark, rest = endpoint.rpartition("://")
    host, slash, path = rest.partition("/")
    if not slash or endpoint.startswith(("unix:", "dns:")):
        return endpoint
    return f"{scheme}{mark}{host}/{'/'.join(map(_shown_segment, path.split('/')))}"


def shown_mapping(values: Mapping[str, object]) -> dict[str, object]:
    """Return a mapping whose secret values, and credentials in other values, are masked."""

    def masked(key: str, value: object) -> object:
        if _redactor().is_secret(key) or "://" in key:
            return MASK
        return shown_text(value, random=False) if isinstance(value, str) else value

    return {shown_text(key, random=False): masked(key, value) for key, value in values.items()}


def shown_value(name: str, value: object) -> object:
    """Return the value of the setting of this name, of any type, with its credentials masked."""
    match value:
        case str() if name.startswith("exporter_otlp_") and name.endswith("endpoint"):
            return shown_endpoint(value)
        case str():
            # Versions and names of pods look random, and are no tokens.
            return shown_text(value, random=name not in _FACTS)
        case Mapping() if not any(isinstance(each, SecretStr) for each in value.values()):
            return shown_mapping(value)
        case tuple() | list() | frozenset():
            return type(value)(shown_value("", each) for each in value)
    return value


def masked_reprs(values: Mapping[str, _Value]) -> dict[str, _Value]:
    """Return values of settings by name; those that contain credentials get a masked ``repr``."""
    return {name: _masked_repr(name, value) for name, value in values.items()}


def _masked_repr(name: str, value: object) -> Any:
    if type(value) is str:
        return value if shown_value(name, value) == value else SecretText(value)
    if type(value) is dict and value and all(type(each) is str for each in value.values()):
        return value if shown_mapping(value) == value else SecretMapping(value)
    if isinstance(value, tuple | frozenset) and all(type(each) is str for each in value):
        return type(value)(_masked_repr("", each) for each in value)
    return value


def _shown_segment(segment: str) -> str:
    plain = unquote(segment).lower()
    if not plain or plain in _PATH_WORDS or plain == _MASKED:
        return segment
    return segment if re.fullmatch(f"{_VERSION}|{_HOST_AND_PORT}", plain) else MASK


def _shown_word(found: re.Match[str]) -> str:
    """Mask a long word in which letters and digits alternate, as in random tokens."""
    word = found[0]
    return MASK if len(re.findall(_CHANGES, word)) > _MOST_CHANGES else word


@functools.cache
def _redactor() -> Redactor:
    return Redactor()
