"""One object that masks secrets in every shape that spans and log lines have."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from itertools import islice

from eco2_tracing._redaction._cut import cut, printable
from eco2_tracing._redaction._extent import covered
from eco2_tracing._redaction._forms import WORDS, formed, has_auth, has_form, mask_code
from eco2_tracing._redaction._keys import MASK, SecretKeys
from eco2_tracing._redaction._kinds import CODE, KINDS, LONG, PLAIN, QUERY, SECRET, SQL, TEXT, UNCLEAN
from eco2_tracing._redaction._messages import DETAILS, STARTS, is_refusal, mask_details, mask_statements
from eco2_tracing._redaction._sql import mask_literals
from eco2_tracing._redaction._text import FreeText, lowered
from eco2_tracing._redaction._urls import Urls, mask_userinfo

LONGEST_ATTRIBUTE = 16 * 1024
"""Characters of an attribute that are kept; what is beyond is cut before anything is searched."""

LONGEST_TEXT = 32 * 1024
"""Characters of a free text that are kept."""

LONGEST_NAME = 1024
"""Characters of a span's, event's or attribute's name that are kept."""

MOST_ITEMS = 1024
"""Items of a sequence or a mapping that are kept."""

_DEEPEST = 16
_MOST_REMEMBERED = 2048
_LONGEST_REMEMBERED = 256
_MOST_STATEMENTS = 256
_LONGEST_STATEMENT = 2048
# Nothing, and what stands where we or OpenTelemetry's own packages have masked before.
_MASKED = frozenset(("", MASK, f"[{MASK}]"))
_NUMBERS = frozenset((int, float, bool))


class Redactor:
    """Masks secrets; never raises, and its time grows with the length of the text only.

    Args:
        extra_keys: More names whose values are masked, in any case.
        limit: The length in characters to which texts are cut.
    """

    __slots__ = ("_free", "_kinds", "_limit", "_names", "_statements", "_stems", "_urls", "is_secret")

    def __init__(self, extra_keys: Iterable[str] = (), *, limit: int = LONGEST_TEXT) -> None:
        keys = SecretKeys(extra_keys)
        self.is_secret = keys.is_secret
        self._limit = limit
        self._free = FreeText(keys.is_secret, keys.extra)
        self._stems = self._free.stems
        self._urls = Urls(self.is_secret, self._nested)
        # By hand, not `lru_cache`: a name of 10 MB must not be remembered.
        self._kinds: dict[object, int] = {}
        self._names: dict[str, str] = {}
        self._statements: dict[tuple[str, str], str] = {}

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
        if "?" in url or "@" in url or "=" in url or "%" in url:
            url = self._urls.url(url)
        return self._scan(url, 0) if "%3" in url else url

    def text(self, text: str) -> str:
        """Mask secrets in free text: `key=value`, JSON, headers, credentials, URLs, literals of SQL.

        Args:
            text: A log message, an exception's text, an attribute of unknown shape.
        """
        if type(text) is not str or len(text) > self._limit:
            text = self._bounded(text)
        return self._scan(text, 0)

    def name(self, name: object) -> str:
        """Mask and cut the name of a span or an event: few different ones, so they are remembered.

        Args:
            name: Should be a text.
        """
        if type(name) is not str:
            name = printable(name)
        known = self._names.get(name)
        if known is None:
            known = self._scan(cut(name, LONGEST_NAME), 0)
            if len(name) <= _LONGEST_REMEMBERED:
                if len(self._names) >= _MOST_REMEMBERED:
                    self._names.clear()
                self._names[name] = known
        return known

    def _scan(self, text: str, depth: int) -> str:
        # One word, as values of attributes and fields often are: nearly each form has more.
        if text.isalnum() and not text.startswith(WORDS):
            return text
        # Literal look-ups first: nearly all lines end here, after half a microsecond.
        low = text.lower()
        if "'" in low or '"' in low or "(" in low:
            for stem in DETAILS:
                if stem in low:
                    text = mask_details(text)
                    low = text.lower()
                    break
        if (
            "select" in low or "update" in low or "delete" in low or "into" in low
            or ("'" in low and (text.startswith(STARTS) or "line " in low or "[sql:" in low))
        ):  # fmt: skip
            text = mask_statements(text, lowered(text, low))
            low = text.lower()
        assigned = "=" in low or ":" in low
        if assigned:
            if "code" in low:
                text = mask_code(text, lowered(text, low))
            if "//" in low or "\\/" in low:
                text = mask_userinfo(text)
            if "=" in low and ("?" in low or "&" in low):
                text = self._urls.parameters(text, depth)
        if "%" in low and "40" in low:
            text = mask_userinfo(text)
        if assigned or "'" in low or '"' in low or ">" in low or "--" in low or "%3" in low:
            # Each built-in name contains one of these; a loop over them takes twice as long.
            if (
                "token" in low or "key" in low or "pass" in low or "secret" in low or "cookie" in low
                or "credential" in low or "sig" in low or "pw" in low
                or "verifier" in low or "sessi" in low or "otp" in low or "cv" in low or "card" in low
                or "identified" in low or ("auth" in low and has_auth(low))
            ):  # fmt: skip
                return self._free.mask(text, text.lower())
            for stem in self._stems:
                if stem in low:
                    return self._free.mask(text, text.lower())
        if has_form(low):
            return covered(text, formed(text, lowered(text, low)))
        return text

    def _nested(self, text: str, depth: int) -> str:
        if "=" in text and "?" not in text:
            text = self._urls.query(text, depth)
        elif "=" not in text and "%3" in text:  # encoded once more
            text = self._urls.value(text, depth)
        return self._scan(text, depth)

    def value(self, key: str, value: object) -> object:
        """Mask one value by its name and by what it holds.

        Args:
            key: The value's name, such as a span attribute's.
            value: Anything; what holds no text passes, unless the name is secret.

        Returns:
            The same object when nothing was masked.
        """
        try:
            return self._masked(self._kind_of(key), value, 0)
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
        kinds = self._kinds
        # One look-up an attribute, and a call for those alone that can hold a secret.
        for key, value in attributes.items():
            kind = kinds.get(key)
            if kind is None:
                kind = self._learn(key)
            if kind == PLAIN or (type(value) in _NUMBERS and kind != SECRET and kind != UNCLEAN):
                continue
            if kind == SQL and type(value) is str:
                masked: object = self._statement(value, attributes)
            elif kind == UNCLEAN:
                changed = self._renamed(attributes if changed is None else changed, key)
                continue
            else:
                masked = self._masked_text(kind, value) if type(value) is str else self.value(key, value)
            if masked is not value:
                if changed is None:
                    changed = dict(attributes)
                changed[key] = masked
        return changed

    def _renamed(self, attributes: Mapping[str, object], key: str) -> dict[str, object]:
        """Mask what stands in an attribute's name, at its place."""
        name = self.name(key)
        return {
            (name if each == key else each): (self.value(key, value) if each == key else value)
            for each, value in attributes.items()
        }

    def _learn(self, key: object) -> int:
        kind = self._kind_of(key)
        if kind in (TEXT, SECRET) and isinstance(key, str) and self.name(key) != key:
            kind = UNCLEAN
        if not isinstance(key, str) or len(key) <= _LONGEST_REMEMBERED:
            if len(self._kinds) >= _MOST_REMEMBERED:
                self._kinds.clear()
            self._kinds[key] = kind
        return kind

    def _kind_of(self, key: object) -> int:
        if not isinstance(key, str):
            return TEXT
        kind = KINDS.get(key)
        if kind is not None:
            return kind
        return SECRET if self.is_secret(key) else TEXT

    def _masked(self, kind: int, value: object, depth: int) -> object:
        if isinstance(value, str):
            return self._masked_text(kind, value if type(value) is str else str.__str__(value))
        if isinstance(value, list | tuple):
            if depth == _DEEPEST:
                return MASK
            items = [self._masked(kind, item, depth + 1) for item in islice(value, MOST_ITEMS)]
            same = len(items) == len(value) and all(map(operator.is_, items, value))
            return value if same else type(value)(items) if type(value) in (list, tuple) else items
        if kind == SECRET and value is not None and not isinstance(value, bool):
            return MASK
        if isinstance(value, Mapping):
            return MASK if depth == _DEEPEST else self._masked_mapping(value, depth + 1)
        if isinstance(value, bytes | bytearray):
            text = bytes(value[:LONGEST_ATTRIBUTE]).decode("utf-8", "backslashreplace")
            masked = self._scan(text, 0)
            return value if masked == text and len(value) <= LONGEST_ATTRIBUTE else masked
        return value

    def _masked_mapping(self, value: Mapping[object, object], depth: int) -> object:
        items: dict[object, object] = {}
        same = len(value) <= MOST_ITEMS
        for key, item in islice(value.items(), MOST_ITEMS):
            name = self.name(key) if isinstance(key, str) else key
            masked = items[name] = self._masked(self._kind_of(key), item, depth)
            same = same and masked is item and name == key
        if is_refusal(items):
            items["input"] = MASK
            return items
        return value if same else items

    def _masked_text(self, kind: int, text: str) -> str:
        if kind == TEXT:
            return self._scan(text if len(text) <= LONGEST_ATTRIBUTE else cut(text, LONGEST_ATTRIBUTE), 0)
        if kind in (SECRET, CODE):
            return text if text in _MASKED else MASK
        if kind == LONG:
            return self._scan(text if len(text) <= LONGEST_TEXT else cut(text, LONGEST_TEXT), 0)
        text = cut(text, LONGEST_ATTRIBUTE)
        if kind == SQL:
            return self._statement(text, {})
        return self.query(text) if kind == QUERY else self.url(text)

    def _statement(self, text: str, attributes: Mapping[str, object]) -> str:
        text = cut(text, LONGEST_ATTRIBUTE)
        system = attributes.get("db.system.name") or attributes.get("db.system")
        key = (text, system if isinstance(system, str) else "")
        known = self._statements.get(key)
        if known is None:
            # Then what has no quotes in some dialect or tool: a URL, `SET password = x`.
            known = mask_userinfo(mask_literals(text, key[1]))
            known = self._free.mask(known, known.lower())
            if len(text) <= _LONGEST_STATEMENT:
                if len(self._statements) >= _MOST_STATEMENTS:
                    self._statements.clear()
                self._statements[key] = known
        return text if known == text else known

    def _bounded(self, text: str) -> str:
        if type(text) is not str:
            text = printable(text)
        return text if len(text) <= self._limit else cut(text, self._limit)
