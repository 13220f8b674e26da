"""The kinds of values by their names, and opaque values, which look generated."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from eco2_tracing._redaction.extent import balanced_end
from eco2_tracing._redaction.keys import MASK
from eco2_tracing._redaction.lazy import lazy
from eco2_tracing._redaction.limits import PLACE, Budget

PLAIN, TEXT, SECRET, QUERY, URL, SQL, CODE, LONG, UNCLEAN, NAME, OPAQUE = range(11)
"""How a value is masked.

`PLAIN` values are not searched, and `TEXT` and `LONG` values as free text. `SECRET` values are masked whole, `CODE`
values if they are texts, `OPAQUE` values if they look generated. `QUERY`, `URL` and `SQL` values are parsed. The name
of an `UNCLEAN` value holds a secret itself. `NAME` values have few different texts, so results are cached.
"""

_NAMES = {
    QUERY: "url.query query_string",
    URL: "raw_path url.full url.original url.path http.url http.target",
    SQL: "db.statement db.query.text",
    CODE: "code",
    LONG: "exception.stacktrace",
    # By the conventions these hold no secrets, so they are not searched.
    PLAIN: "http.request.method http.route url.scheme network.protocol.name network.protocol.version db.system "
    "db.system.name db.operation.name messaging.system http.method http.scheme http.flavor",
    # These have few different values, so results are cached.
    NAME: "server.address client.address network.peer.address error.type exception.type db.namespace "
    "db.collection.name net.host.name db.name messaging.destination.name",
}
KINDS = {name: kind for kind, names in _NAMES.items() for name in names.split()}
"""Attributes whose kind the semantic conventions define."""

# Names of environment variables in which the secret's word is not the last one: `PASSWORD_DB`.
_CAPITALS = (
    r"(?:[A-Z0-9]{1,32}_){0,4}(?:PASSWORD|PASSWD|SECRET|TOKEN|API_KEY)"
    r"(?:_(?!(?:ARN|AUDIENCE|ENDPOINT|FILE|HEADER|ID|ISSUER|LENGTH|NAME|PATH|PROVIDER|REF|STORE|TTL|TYPE|URI|URL|VERSION)\b)[A-Z0-9]{1,32}){1,4}"
)
_CAPITAL_NAME = lazy(rf"{_CAPITALS}\Z")
_VARIABLE = lazy(
    rf"(?<![A-Za-z0-9_]){_CAPITALS}\\{{0,7}}[\"']?[ ]?[=:][ ]?\\{{0,7}}[\"']?"
    r"(?=[^\s\d/]{0,64}\d)(?=[^\sA-Za-z/]{0,64}[A-Za-z])([^\s\"'&;,/\\]{8,512})"
)
_PLURAL_NAME = lazy(r"(?:\A|[\w.-]{0,64}[_.-])(?:tokens|keys)\Z|\A\w{1,64}Tokens\Z")
_PLURAL = lazy(
    r"""(?:tokens(?=[^(\n]{0,16}[\[{])|keys(?=[^(\[\n]{0,16}\{))\\{0,7}["']?[ ]?(?:=>|[:=])[ ]?(?=[\[{])"""
)
# A word with letters and digits.
_OPAQUE = r"(?=[\w.~+/=-]{8})(?=[A-Za-z.~+/=_-]{0,64}\d)(?=[\d.~+/=_-]{0,64}[A-Za-z])[\w.~+/=-]{8,512}+"
_ITEM = lazy(rf"(?<![\w.~+/=:-]){_OPAQUE}(?![:\w])")
_WHOLE = lazy(rf"{_OPAQUE}\Z")
_MOST_ITEMS = 1024
_LONGEST = 2048  # characters of a list that are searched


def is_uncertain(name: str) -> bool:
    """Return True if values under a name are masked only if they look opaque: `tokens`, `keys`, `PASSWORD_DB`."""
    if name[-1:] == "s":
        return name.endswith(("okens", "keys")) and _PLURAL_NAME.match(name) is not None
    return name.isupper() and _CAPITAL_NAME.match(name) is not None


def is_opaque(text: str) -> bool:
    """Return True if a text is one word of letters and digits, like generated credentials."""
    return _WHOLE.match(text) is not None


def masked_opaque(value: object, depth: int = 3) -> object:
    """Return a value with masked opaque texts, also in list items and mapping values of ``depth`` nested levels."""
    if isinstance(value, str):
        return MASK if is_opaque(value) else value
    if depth and isinstance(value, Mapping):
        return {key: masked_opaque(item, depth - 1) for key, item in islice(value.items(), _MOST_ITEMS)}
    if depth and isinstance(value, list | tuple):
        return [masked_opaque(item, depth - 1) for item in value[:_MOST_ITEMS]]
    return value


def find_opaque(text: str, low: str, budget: Budget) -> list[tuple[int, int]]:
    """Return the spans of opaque values in `PASSWORD_DB=…`, `tokens=[…]`, `tokens={…}` and `keys={…}`."""
    spans = [found.span(1) for found in _VARIABLE.finditer(text)] if "_" in text else []
    if "tokens" in low or "keys" in low:
        end = 0
        while found := _PLURAL.search(low, end):
            start = found.end()
            if budget.left <= 0:
                return [*spans, (start, len(text))]
            end = start + balanced_end(text[start : start + _LONGEST], 0)
            budget.left -= PLACE + (end - start) // 2
            spans += [item.span() for item in _ITEM.finditer(text, start, end)]
    return spans
