"""The choice of the format of log lines."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Literal, cast, get_args

from eco2_tracing._console.terminal import is_terminal
from eco2_tracing._errors import ConfigurationError
from eco2_tracing._settings import Problem, load_settings, report_arguments, shown_argument
from eco2_tracing.logs._formatter import EcsFormatter
from eco2_tracing.logs._tap import Sink, TappedFormatter
from eco2_tracing.logs._text import TextFormatter

if TYPE_CHECKING:
    from eco2_tracing._settings import Settings

LogFormat = Literal["json", "text", "auto"]
VARIABLE = "ECO2_TRACING_LOG_FORMAT"
_RUN_DEFAULT = "_ECO2_TRACING_RUN_LOG_FORMAT"


def formatter_of(
    log_format: LogFormat, *, sink: Sink | None = None, use_colors: bool | None = None
) -> logging.Formatter:
    """Return the formatter of a format.

    Args:
        log_format: The format.
        sink: Takes each line as ECS JSON.
        use_colors: Colours of text; by default as stdout and the environment say.
    """
    ecs = EcsFormatter() if sink is None else TappedFormatter(EcsFormatter(), sink)
    if log_format == "json" or (log_format == "auto" and not is_terminal(sys.stdout)):
        return ecs
    return TextFormatter(ecs, use_colors=use_colors)


def format_argument(function: str, given: object) -> tuple[LogFormat | None, Problem | None]:
    """Return the argument ``format`` or the default of `eco2-tracing run`, and the problem if it is invalid."""
    given = os.environ.get(_RUN_DEFAULT) if given is None else given
    if given is None:
        return None, None
    word = given.strip().lower() if isinstance(given, str) else ""
    if word in get_args(LogFormat):
        return cast("LogFormat", word), None
    found = f"{function}(format={shown_argument(given)})"
    cure = "write 'json', 'text' or 'auto'"
    return None, Problem(
        f"{function}(format)", "", "json", f"{found}: no such format, the default is used; {cure}"
    )


def format_problem(settings: Settings) -> Problem | None:
    """Return the problem of the variable; a process without `configure_tracing` reports no others."""
    return next((each for each in settings.problems if each.variable == VARIABLE), None)


def log_formatter(
    format: str | None = None,  # noqa: A002 - the name of `configure_logging`
    *,
    use_colors: bool | None = None,
) -> logging.Formatter:
    """Return the formatter that `configure_logging` would use, for handlers that you configure yourself.

    Args:
        format: ``json``, ``text`` or ``auto``. Default: ``json``. ``ECO2_TRACING_LOG_FORMAT`` takes precedence.
        use_colors: True for colours in text. Default: as ``NO_COLOR`` and ``FORCE_COLOR`` say, else true on a terminal.

    Returns:
        An `EcsFormatter` or a `TextFormatter`.
    """
    wanted, problem = format_argument("log_formatter", format)
    try:
        settings = load_settings()
    except ConfigurationError:  # strict mode: `configure_tracing` raises it with all problems
        pass
    else:
        wanted, problem = settings.log_format or wanted, problem or format_problem(settings)
    report_arguments(problem)
    return formatter_of(wanted or "json", use_colors=use_colors)
