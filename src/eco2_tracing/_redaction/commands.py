"""Masks passwords of short options in command lines: `mysql -psecret`, `redis-cli -a secret`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from eco2_tracing._redaction.keys import MASK
from eco2_tracing._redaction.lazy import lazy
from eco2_tracing._redaction.limits import PLACE, Budget

_VALUE = r"""("[^"\n]{1,512}"|'[^'\n]{1,512}'|[^\s"']{1,512})"""
_BEFORE = r"""[^\n|;&]{0,512}?[ ]["']?"""
_NEXT = r"""(?:[ ]|["'],[ ]["'])"""  # between an option and its value, also in the text of a list
_USER = rf"(?:-u|--user|--proxy-user|-U)(?:=|{_NEXT})?[\"']?"
# The option with the password, by the beginning of the program's name; group 1 is the password.
_TOOLS = {
    **dict.fromkeys(("mysql", "mariadb", "7z"), rf"{_BEFORE}-p{_VALUE}"),
    **dict.fromkeys(
        ("mongo", "login", "cqlsh", "twine", "poetry publish", "psexec"),
        rf"{_BEFORE}-p(?:=|{_NEXT})?{_VALUE}",
    ),
    "sshpass": rf"{_BEFORE}-p{_NEXT}?{_VALUE}",
    **dict.fromkeys(("sqlcmd", "bcp", "zip", "ipmitool"), rf"{_BEFORE}-P(?:=|{_NEXT})?{_VALUE}"),
    "ssh-keygen": rf"{_BEFORE}-[NP]{_NEXT}{_VALUE}",
    "rar": rf"[ ][axe]{_BEFORE}-h?p{_VALUE}",
    "freerdp": rf"[^\n|;&]{{0,512}}?[ ][\"']?/p:{_VALUE}",
    **dict.fromkeys(("smb", "rpcclient"), rf"{_BEFORE}{_USER}[^\s%\"']{{1,128}}%([^\s\"']{{1,512}})"),
    "lftp": rf"{_BEFORE}{_USER}[^\s,\"']{{1,128}},([^\s\"']{{1,512}})",
    "etcdctl": rf"{_BEFORE}{_USER}[^\s:\"']{{1,128}}:([^\s\"']{{1,512}})",
    "http -a": r"[ ][\"']?[^\s:\"'/]{1,128}:([^\s\"']{1,512})",
    "skopeo": rf"{_BEFORE}--(?:src-|dest-)?creds(?:=|{_NEXT})[\"']?[^\s:\"']{{1,128}}:([^\s\"']{{1,512}})",
    "vault": (
        rf"{_NEXT}login(?:{_NEXT}-[^\s=]{{1,64}}){{0,4}}{_NEXT}[\"']?"
        r"(?=[^\s\d=]{0,64}\d)([^\s\"'=-][^\s\"'=]{7,512})"
    ),
    "echo ": (
        r"(?:-n[ ])?\\{0,7}[\"']?(?![$])([^\s\"'|\\]{1,512})\\{0,7}[\"']?[ ]{0,4}\|[ ]?[^\n|]{0,256}?"
        r"(?:--password-stdin|\bchpasswd|\bsudo[ ]-s)"
    ),
    "redis-cli": rf"{_BEFORE}-a{_NEXT}?{_VALUE}",
    "ldap": rf"{_BEFORE}-w{_NEXT}?{_VALUE}",
    "curl": rf"{_BEFORE}{_USER}[^\s:\"'/]{{1,128}}:(?!//)([^\s\"']{{1,512}})",
    "htpasswd": r"[ ]-[a-zA-Z]{0,8}b[a-zA-Z]{0,8}[ ]\S{1,256}[ ]\S{1,128}[ ]([^\s\"']{1,512})",
    "sqlplus": r"[ ][^\n]{0,64}?\b[\w.-]{1,64}/([^\s@\"'/]{1,512})@",
    "openssl": rf"{_BEFORE}-pass(?:in|out)?[ ][\"']?pass:([^\s\"']{{1,512}})",
}
_PATTERNS = {tool: lazy(pattern) for tool, pattern in _TOOLS.items()}
_CASE_SENSITIVE = frozenset(tool for tool, pattern in _TOOLS.items() if "-P" in pattern or "NP]" in pattern)
_LONGEST_TOOL = 16
_MARKS = (" -p", " -a", " -w", " -u", "-user", " -b", " -n", " -hp", "creds", "'-", '"-', "-stdin", "sudo -s")

# The same options where each argument is an item of a list. True: the password is the next item. False: it is the rest
# of the option's item.
_OPTIONS = {
    "mysql": ("-p", False), "mysqldump": ("-p", False), "mysqladmin": ("-p", False), "mariadb": ("-p", False),
    "mongo": ("-p", True), "mongosh": ("-p", True), "sshpass": ("-p", True), "docker": ("-p", True),
    "redis-cli": ("-a", True), "ldapsearch": ("-w", True), "curl": ("-u", True), "sqlcmd": ("-P", True),
    "bcp": ("-P", True), "zip": ("-P", True), "unzip": ("-P", True), "7z": ("-p", False), "7za": ("-p", False),
    "smbclient": ("-U", True), "rpcclient": ("-U", True), "xfreerdp": ("/p:", False), "ipmitool": ("-P", True),
    "ssh-keygen": ("-N", True), "cqlsh": ("-p", True), "twine": ("-p", True), "lftp": ("-u", True),
    "podman": ("-p", True), "vault": ("login", True),
}  # fmt: skip


def has_option(low: str) -> bool:
    """Return True if a text in lower case has one of the options."""
    return (" -" in low or "'-" in low or '"-' in low) and any(option in low for option in _MARKS)


def find_command_passwords(text: str, low: str, budget: Budget) -> list[tuple[int, int]]:
    """Return the spans of passwords after the options of known programs."""
    spans: list[tuple[int, int]] = []
    for tool, pattern in _PATTERNS.items():
        searched = text if tool in _CASE_SENSITIVE else low
        at = low.find(tool)
        while at >= 0:
            if budget.left <= 0:
                return [*spans, (at, len(text))]
            budget.left -= 2 * PLACE
            end = at + len(tool)
            found = pattern.match(searched, _end_of_word(low, end))
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
    """Return the arguments of a command with masked passwords and secret values; ``None`` if nothing is masked."""
    first = items[0]
    tool, joined = (
        _OPTIONS.get(first.rpartition("/")[2], ("", True)) if isinstance(first, str) else ("", True)
    )
    starts = ("-", tool) if tool else "-"
    masked: list[object] | None = None
    for at, item in enumerate(items):
        if not isinstance(item, str) or not item.startswith(starts):
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
