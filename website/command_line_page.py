"""The page of the command line, from the parser of its arguments."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from eco2_tracing._cli import _parser

INTRODUCTION = """\
# Command line

`eco2-tracing run` starts a Python server with tracing:

```console
$ eco2-tracing run uvicorn shop:app
```

`eco2-tracing COMMAND --help` prints what this page says about a command. Exit codes are 0 for success, 1 if a check
failed, 2 if the command cannot run, and 130 after Ctrl-C; that of `run` is the server's.

<!-- Written by `python -m website` from the parser in src/eco2_tracing/_cli. -->
"""


def page() -> str:
    """The Markdown of the page."""
    lines = [INTRODUCTION]
    for name, parser, summary in commands(_parser()):
        lines += [*command(name, parser, summary)]
    return "\n".join(lines).rstrip() + "\n"


def commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser, str]]:
    """The name, the parser and the line of help of each command."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            summaries = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, found in action.choices.items():
                yield name, found, summaries.get(name, "")


def command(name: str, parser: argparse.ArgumentParser, summary: str) -> Iterator[str]:
    """The lines of one command."""
    yield f"## {name}\n"
    yield sentence(parser.description or summary) + "\n"
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    yield f"```text\n{usage}\n```\n"
    yield "| option | effect |\n|---|---|"
    expand = parser._get_formatter()._expand_help  # puts defaults into the texts
    for action in parser._actions:
        if action.dest != "help":
            yield f"| {', '.join(f'`{each}`' for each in flags(action))} | {cell(expand(action))} |"
    yield ""
    if parser.epilog:
        yield f"```text\n{parser.epilog.strip()}\n```\n"


def flags(action: argparse.Action) -> list[str]:
    """How an option is written, with its value."""
    value = (
        f"{{{','.join(map(str, action.choices))}}}"
        if action.choices
        else (action.metavar if isinstance(action.metavar, str) else action.dest.upper())
    )
    if not action.option_strings:
        return [value]
    return [option if action.nargs == 0 else f"{option} {value}" for option in action.option_strings]


def cell(text: str) -> str:
    """Return a text that fits a table."""
    return " ".join(text.split()).replace("|", "\\|")


def sentence(text: str) -> str:
    """Return a text with a capital letter and a full stop."""
    text = " ".join(text.split())
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
