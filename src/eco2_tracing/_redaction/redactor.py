"""The `Redactor`, which masks secrets in values of spans and log lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from eco2_tracing._redaction.keys import MASK
from eco2_tracing._redaction.kinds import (
    KINDS,
    LONG,
    NAME,
    OPAQUE,
    PLAIN,
    QUERY,
    SECRET,
    SQL,
    TEXT,
    UNCLEAN,
    URL,
    is_opaque,
    is_uncertain,
)
from eco2_tracing._redaction.limits import (
    LONGEST_ATTRIBUTE,
    LONGEST_NAME,
    LONGEST_SPAN,
    LONGEST_TEXT,
    SEARCHES,
    SMALL,
    Budget,
    printable,
    truncate,
)
from eco2_tracing._redaction.redis import has_plain_keys, mask_commands
from eco2_tracing._redaction.scanner import Scanner
from eco2_tracing._redaction.sql import mask_literals
from eco2_tracing._redaction.text import lowered
from eco2_tracing._redaction.userinfo import mask_userinfo
from eco2_tracing._redaction.values import Values

_Attributes = Mapping[str, object]
_MOST_CACHED = 2048
_FEW = 16  # so many short attributes need no budget
_LONGEST_CACHED = 256
_MOST_STATEMENTS = 256
_LONGEST_STATEMENT = 2048
_SEARCH = 16  # cost of one text in addition to its length, in characters: lists may hold many short texts
# An empty text, and the masks of this library and of OpenTelemetry's packages.
_MASKED = frozenset(("", MASK, f"[{MASK}]"))
_NUMBERS = frozenset((int, float, bool))
_PLAIN_TEXTS = (TEXT, LONG)
_FORMS = (QUERY, URL, SQL)


class Redactor(Scanner):
    """Masks secrets. It never raises, and its time is linear in the length of the text.

    Args:
        extra_keys: More names whose values are masked, in any case.
        limit: Maximum length of texts in characters.
        numbers: Kinds of numbers that are also masked, of `NUMBER_KINDS`.
    """

    __slots__ = ("_kinds", "_names", "_statements")

    def __init__(
        self, extra_keys: Iterable[str] = (), *, limit: int = LONGEST_TEXT, numbers: Iterable[str] = ()
    ) -> None:
        super().__init__(extra_keys, limit=limit, numbers=numbers)
        # `lru_cache` would keep a name of 10 MB, so long names are excluded here.
        self._kinds: dict[object, int] = {}
        self._names: dict[str, str] = {}
        self._statements: dict[tuple[str, str], str] = {}

    def name(self, name: object) -> str:
        """Return the masked and truncated name of a span or an event. Results are cached."""
        if type(name) is not str:
            name = printable(name)
        cached = self._names.get(name)
        if cached is None:
            cached = self._scan(truncate(name, LONGEST_NAME), 0)
            if len(name) <= _LONGEST_CACHED:
                if len(self._names) >= _MOST_CACHED:
                    self._names.clear()
                self._names[name] = cached
        return cached

    def value(self, key: str, value: object) -> object:
        """Mask one value, by its name and by its contents; return the same object if nothing was masked.

        An object without texts is masked only if its name is secret.
        """
        return self._value(self._kind_of(key), value, None)

    def named_text(self, key: str, text: str, budget: Budget | None = None) -> str:
        """Return a masked text. Its name determines its form: a query string, a URL, a statement or free text."""
        kind = KINDS.get(key)
        if kind in _FORMS:
            return self._form(kind, text, budget)
        if key.isupper() and is_uncertain(key) and is_opaque(text):
            return MASK
        return self._scan(text, 0, budget)

    def _value(self, kind: int, value: object, budget: Budget | None) -> object:
        limit = LONGEST_TEXT if kind == LONG else LONGEST_ATTRIBUTE
        kept = Budget(limit if budget is None or budget.left > limit else budget.left)
        given = kept.left
        search = Budget(SEARCHES if budget is None else min(SEARCHES, budget.left))
        allowed = search.left

        def masked_text(kind: int, text: str, kept: Budget) -> str:
            return self._masked_text(kind, kept.text(text, LONGEST_ATTRIBUTE), search)

        values = Values(self.is_secret, self._kind_of, self.name, masked_text, kept)
        try:
            return values.masked(kind, value)
        except Exception:  # noqa: BLE001 - a value of the application that raises is masked whole
            return MASK
        finally:
            if budget is not None:
                budget.left -= given - kept.left + allowed - search.left + values.texts * _SEARCH

    def attributes(self, attributes: _Attributes, budget: Budget | None = None) -> dict[str, object] | None:
        """Mask the attributes of a span, an event or a link, by the names of the semantic conventions.

        Returns:
            A new dictionary, or ``None`` if nothing was masked.
        """
        changed: dict[str, object] | None = None
        kinds, names = self._kinds, self._names
        if budget is None and len(attributes) > _FEW:
            budget = Budget(LONGEST_SPAN)
        # Each attribute costs one look-up. Only attributes that may hold a secret cost a call.
        for key, value in attributes.items():
            kind = kinds.get(key)
            if kind is None:
                kind = self._cache_kind(key)
            if kind == NAME and type(value) is str and names.get(value) is value:
                continue
            if kind == PLAIN or (type(value) in _NUMBERS and kind != SECRET and kind != UNCLEAN):
                continue
            if type(value) is not str or len(value) > SMALL or kind == UNCLEAN:
                if budget is None:
                    budget = Budget(LONGEST_SPAN)
                if kind == UNCLEAN:
                    changed = self._with_masked_name(attributes if changed is None else changed, key, budget)
                    continue
                masked = self._masked_long(kind, value, attributes, budget)
            elif kind == SQL:
                masked = self._statement(value, attributes, budget)
            else:
                masked = self._masked_text(kind, value, budget)
            if masked is not value:
                if changed is None:
                    changed = dict(attributes)
                changed[key] = masked
        return changed

    def _masked_long(self, kind: int, value: object, attributes: _Attributes, budget: Budget) -> object:
        if type(value) is not str:
            return self._value(kind, value, budget)
        text = budget.text(value, LONGEST_TEXT if kind == LONG else LONGEST_ATTRIBUTE)
        search = Budget(min(SEARCHES, budget.left))
        given = search.left
        masked = (
            self._statement(text, attributes, search)
            if kind == SQL
            else self._masked_text(kind, text, search)
        )
        budget.left -= given - search.left
        return value if masked is value or masked == value else masked

    def _with_masked_name(self, attributes: _Attributes, key: str, budget: Budget) -> dict[str, object]:
        """Return the attributes with one masked name and value. The order is kept."""
        name = self.name(key)
        masked = self._value(self._kind_of(key), attributes[key], budget)
        return {
            (name if each == key else each): (masked if each == key else value)
            for each, value in attributes.items()
        }

    def _cache_kind(self, key: object) -> int:
        kind = self._kind_of(key)
        if kind in (TEXT, SECRET, OPAQUE) and isinstance(key, str) and self.name(key) != key:
            kind = UNCLEAN
        if not isinstance(key, str) or len(key) <= _LONGEST_CACHED:
            if len(self._kinds) >= _MOST_CACHED:
                self._kinds.clear()
            self._kinds[key] = kind
        return kind

    def _kind_of(self, key: object) -> int:
        if not isinstance(key, str):
            return TEXT
        kind = KINDS.get(key)
        if kind is not None:
            return kind
        if self.is_secret(key):
            return SECRET
        return OPAQUE if is_uncertain(key) else TEXT

    def _masked_text(self, kind: int, text: str, budget: Budget | None) -> str:
        if kind in _PLAIN_TEXTS:
            return self._scan(text, 0, budget)
        if kind == NAME:
            return self.name(text)
        return self._form(kind, text, budget)

    def _form(self, kind: int | None, text: str, budget: Budget | None) -> str:
        if kind == SQL:
            return self._statement(text, {}, budget)
        if kind == QUERY:
            return self.query(text, budget)
        if kind == URL:
            return self.url(text, budget)
        if kind == OPAQUE and not is_opaque(text):
            return self._scan(text, 0, budget)
        return text if text in _MASKED else MASK

    def _statement(self, text: str, attributes: _Attributes, budget: Budget | None) -> str:
        system = attributes.get("db.system.name") or attributes.get("db.system")
        if system == "redis":
            return self._commands(text, budget)
        key = (text, system if isinstance(system, str) else "")
        cached = self._statements.get(key)
        if cached is None:
            # Secrets without quotes are masked after the literals: a URL, `SET password = x`.
            budget = budget or Budget(SEARCHES)
            cached = mask_userinfo(mask_literals(text, budget, key[1]), budget)
            cached = self._free.mask(cached, lowered(cached), budget)
            if len(text) <= _LONGEST_STATEMENT and budget.left > 0:
                if len(self._statements) >= _MOST_STATEMENTS:
                    self._statements.clear()
                self._statements[key] = cached
        return text if cached == text else cached

    def _commands(self, text: str, budget: Budget | None) -> str:
        """Mask commands of Redis. Keys differ too much for a cache."""
        masked = mask_commands(text)
        if self._numbers:
            masked = self._without_numbers(masked)
        if not has_plain_keys(masked, self.is_secret):
            budget = budget or Budget(SEARCHES)
            masked = mask_userinfo(masked, budget)
            masked = self._free.mask(masked, lowered(masked), budget)
        return text if masked == text else masked


def has_special_form(name: str) -> bool:
    """Return True if values under a name are not masked as free text."""
    return KINDS.get(name) in _FORMS or is_uncertain(name)
