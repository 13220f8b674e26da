"""One object that masks secrets in every shape that spans and log lines have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from eco2_tracing._redaction._keys import MASK, SecretKeys
from eco2_tracing._redaction._sql import mask_literals
from eco2_tracing._redaction._text import FreeText
from eco2_tracing._redaction._urls import Urls, mask_userinfo

LONGEST_ATTRIBUTE = 16 * 1024
"""Characters of an attribute that are kept; what is beyond is cut before anything is searched."""

LONGEST_TEXT = 32 * 1024
"""Characters of a free text that are kept."""

_NUMBERS = frozenset((int, float, bool))

_PLAIN, _TEXT, _SECRET, _QUERY, _URL, _SQL, _CODE = range(7)
_KINDS = {
    "url.query": _QUERY,
    "url.full": _URL,
    "url.original": _URL,
    "url.path": _URL,
    "http.url": _URL,
    "http.target": _URL,
    "db.statement": _SQL,
    "db.query.text": _SQL,
    "code": _CODE,
} | dict.fromkeys(
    # The conventions leave no room for a secret in these: not searched, for speed.
    (
        "http.request.method", "http.route", "url.scheme", "network.protocol.name",
        "network.protocol.version", "server.address", "client.address", "network.peer.address",
        "error.type", "exception.type", "db.system", "db.system.name", "db.operation.name",
        "db.namespace", "db.collection.name", "http.method", "http.scheme", "http.flavor", "net.host.name",
    ),
    _PLAIN,
)  # fmt: skip


class Redactor:
    """Masks secrets; never raises, and its time grows with the length of the text only.

    Args:
        extra_keys: More names whose values are masked, in any case.
        limit: The length in characters to which texts are cut.
    """

    __slots__ = ("_free", "_kind", "_limit", "_stems", "_urls", "is_secret")

    def __init__(self, extra_keys: Iterable[str] = (), *, limit: int = LONGEST_TEXT) -> None:
        keys = SecretKeys(extra_keys)
        self.is_secret = keys.is_secret
        self._limit = limit
        self._free = FreeText(keys.extra)
        self._stems = self._free.stems
        self._urls = Urls(self.is_secret, self._nested)
        self._kind = lru_cache(1024)(self._kind_of)

    def query(self, query: str) -> str:
        """Mask the values of secret parameters of a query string.

        Args:
            query: Without its `?`. Names may be percent-encoded; `&` and `;` separate.
        """
        query = self._bounded(query)
        return self._urls.query(query) if "=" in query else query

    def url(self, url: str) -> str:
        """Mask user information and secret parameters of a URL.

        Args:
            url: Absolute or relative.
        """
        url = self._bounded(url)
        if "?" in url or "@" in url or "=" in url:
            return self._urls.url(url)
        return url

    def text(self, text: str) -> str:
        """Mask secrets in free text: `key=value`, JSON, headers, credentials, URLs.

        Args:
            text: A log message, an exception's text, an attribute of unknown shape.
        """
        if type(text) is not str or len(text) > self._limit:
            text = self._bounded(text)
        return self._scan(text, 0)

    def _scan(self, text: str, depth: int) -> str:
        # Literal look-ups first: nearly all lines end here, after half a microsecond.
        low = text.lower()
        if "=" in low or ":" in low:
            if "//" in low:
                text = mask_userinfo(text)
            if "=" in low and ("?" in low or "&" in low):
                text = self._urls.parameters(text, depth)
            for stem in self._stems:
                if stem in low:
                    return self._free.mask(text, text.lower())
        if "bearer" in low or "basic" in low or "eyj" in low or "private key-" in low:
            return self._free.mask(text, text.lower())
        return text

    def _nested(self, text: str, depth: int) -> str:
        if "=" in text and "?" not in text:
            text = self._urls.query(text, depth)
        return self._scan(text, depth)

    def value(self, key: str, value: object) -> object:
        """Mask one value by its name and by what it holds.

        Args:
            key: The value's name, such as a span attribute's.
            value: Anything; what is neither text nor a sequence passes, unless the name is secret.

        Returns:
            The same object when nothing was masked.
        """
        try:
            return self._masked(self._kind(key), value)
        except Exception:  # noqa: BLE001 - whatever a foreign object raises, nothing of it leaves
            return MASK

    def attributes(self, attributes: Mapping[str, object]) -> dict[str, object] | None:
        """Mask a span's, event's or link's attributes.

        Args:
            attributes: By name, as the semantic conventions have them.

        Returns:
            A new mapping, or ``None`` when there is nothing to mask.
        """
        changed: dict[str, object] | None = None
        kind_of = self._kind
        # One look-up an attribute, and a call for those alone that can hold a secret.
        for key, value in attributes.items():
            kind = kind_of(key)
            if kind == _PLAIN or (type(value) in _NUMBERS and kind != _SECRET):
                continue
            masked = self._masked_text(kind, value) if type(value) is str else self.value(key, value)
            if masked is not value:
                if changed is None:
                    changed = dict(attributes)
                changed[key] = masked
        return changed

    def _kind_of(self, key: object) -> int:
        if not isinstance(key, str):
            return _TEXT
        kind = _KINDS.get(key)
        if kind is not None:
            return kind
        return _SECRET if self.is_secret(key) else _TEXT

    def _masked(self, kind: int, value: object) -> object:
        if isinstance(value, str):
            return self._masked_text(kind, value if type(value) is str else str.__str__(value))
        if isinstance(value, list | tuple):
            items = [self._masked(kind, item) for item in value]
            same = all(new is old for new, old in zip(items, value, strict=True))
            return value if same else type(value)(items) if type(value) in (list, tuple) else items
        if kind == _SECRET and value is not None and not isinstance(value, bool):
            return MASK
        return value

    def _masked_text(self, kind: int, text: str) -> str:
        if kind in (_SECRET, _CODE):
            return MASK if text else text
        if len(text) > LONGEST_ATTRIBUTE:
            text = cut(text, LONGEST_ATTRIBUTE)
        if kind == _TEXT:
            return self._scan(text, 0)
        if kind == _SQL:
            return mask_literals(text)
        return self.query(text) if kind == _QUERY else self.url(text)

    def _bounded(self, text: str) -> str:
        if type(text) is not str:
            text = printable(text)
        return text if len(text) <= self._limit else cut(text, self._limit)


def cut(text: str, limit: int) -> str:
    """Shorten a text to a limit, and mark the cut.

    Args:
        text: Any text.
        limit: Its greatest length in characters.
    """
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def printable(value: object) -> str:
    """Turn any object into text, also one whose `__str__` raises."""
    try:
        return str.__str__(value) if isinstance(value, str) else str(value)
    except Exception:  # noqa: BLE001 - the object is the application's
        return f"<unprintable {type(value).__name__}>"
