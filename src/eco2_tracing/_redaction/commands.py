"""Passwords in command lines whose option's name does not tell: `mysql -psecret`, `redis-cli -a secret`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from eco2_tracing._redaction.keys import MASK
from eco2_tracing._redaction.lazy import lazy

_VALUE = r"""("[^"\n]{1,512}"|'[^'\n]{1,512}'|[^\s"']{1,512})"""
_BEFORE = r"""[^\n|;&]{0,512}?[ ]["']?"""
_NEXT = r"""(?:[ ]|["'],[ ]["'])"""  # between an option and its value, also in the text of a list
# The option with the password, by the beginning of the program's name; group 1 is the password.
_TOOLS = {
    "mysql": rf"{_BEFORE}-p{_VALUE}",
    "mariadb": rf"{_BEFORE}-p{_VALUE}",
    "mongo": rf"{_BEFORE}-p(?:=|{_NEXT})?{_VALUE}",
    "sshpass": rf"{_BEFORE}-p{_NEXT}?{_VALUE}",
    "login": rf"{_BEFORE}-p(?:=|{_NEXT})?{_VALUE}",
    "redis-cli": rf"{_BEFORE}-a{_NEXT}?{_VALUE}",
    "ldap": rf"{_BEFORE}-w{_NEXT}?{_VALUE}",
    "curl": rf"{_BEFORE}(?:-u|--user|--proxy-user|-U)(?:=|{_NEXT})?[\"']?[^\s:\"'/]{{1,128}}:(?!//)([^\s\"']{{1,512}})",
    "htpasswd": r"[ ]-[a-zA-Z]{0,8}b[a-zA-Z]{0,8}[ ]\S{1,256}[ ]\S{1,128}[ ]([^\s\"']{1,512})",
    "sqlplus": r"[ ][^\n]{0,64}?\b[\w.-]{1,64}/([^\s@\"'/]{1,512})@",
    "openssl": rf"{_BEFORE}-pass(?:in|out)?[ ][\"']?pass:([^\s\"']{{1,512}})",
}
_PATTERNS = {tool: lazy(pattern) for tool, pattern in _TOOLS.items()}
_LONGEST_TOOL = 16
_MARKS = (" -p", " -a", " -w", " -u", "-user", " -b", "'-", '"-')
_MOST = 64

# The same where each argument is an item of a list; the password is the next item or the rest of this one.
_OPTIONS = {
    "mysql": ("-p", False), "mysqldump": ("-p", False), "mysqladmin": ("-p", False), "mariadb": ("-p", False),
    "mongo": ("-p", True), "mongosh": ("-p", True), "sshpass": ("-p", True), "docker": ("-p", True),
    "redis-cli": ("-a", True), "ldapsearch": ("-w", True), "curl": ("-u", True),
}  # fmt: skip


def has_option(low: str) -> bool:
    """Tell whether a text has one of the options.

    Args:
        low: The text in lower case.
    """
    return ("-" in low and any(option in low for option in _MARKS)) or "sqlplus" in low


def mask_commands(low: str) -> list[tuple[int, int]]:
    """Find passwords behind the options of known programs.

    Args:
        low: A text in lower case.

    Returns:
        Their places.
    """
    spans: list[tuple[int, int]] = []
    for tool, pattern in _PATTERNS.items():
        at = low.find(tool)
        for _ in range(_MOST):
            if at < 0:
                break
            end = at + len(tool)
            found = pattern.match(low, _end_of_word(low, end))
            if found is not None:
                spans.append(found.span(1))
                end = found.end()
            at = low.find(tool, end)
    return spans


def _end_of_word(low: str, at: int) -> int:
    end = at
    while end - at < _LONGEST_TOOL and low[end : end + 1].isalpha():
        end += 1
    return end


def mask_arguments(items: Sequence[object], is_secret: Callable[[str], bool]) -> list[object] | None:
    """Mask the values among the arguments of a command that stand in items of their own.

    Args:
        items: The arguments, as in `process.command_args`.
        is_secret: Tells whether values under a name are masked.

    Returns:
        The arguments, or ``None`` where nothing is masked.
    """
    first = items[0]
    tool, joined = (
        _OPTIONS.get(first.rpartition("/")[2], ("", True)) if isinstance(first, str) else ("", True)
    )
    masked: list[object] | None = None
    for at, item in enumerate(items):
        if not isinstance(item, str) or item[:1] != "-":
            continue
        following = items[at + 1] if at + 1 < len(items) else None
        if tool and item.startswith(tool) and len(item) > len(tool):
            masked = masked or list(items)
            masked[at] = tool + MASK
        elif (
            isinstance(following, str)
            and following[:1] != "-"
            and ((tool == item and joined) or ("=" not in item and is_secret(item.lstrip("-"))))
        ):
            masked = masked or list(items)
            masked[at + 1] = MASK
    return masked
