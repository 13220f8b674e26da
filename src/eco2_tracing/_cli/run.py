"""The command `eco2-tracing run`: prepares the environment of a command and becomes that command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import MutableMapping, Sequence

from eco2_tracing._cli.names import service_name
from eco2_tracing._cli.programs import CommandError, program_of

_FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "_run", "site")
_EPILOG = """\
examples:
  eco2-tracing run uvicorn shop.main:app --reload
  eco2-tracing run --service-name shop --exporter console gunicorn -k uvicorn_worker.UvicornWorker shop.main:app
  OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4317 eco2-tracing run python -m shop
"""
_VARIABLES = {
    "service_name": "OTEL_SERVICE_NAME",
    "exporter": "OTEL_TRACES_EXPORTER",
    "endpoint": "OTEL_EXPORTER_OTLP_ENDPOINT",
    "log_format": "ECO2_TRACING_LOG_FORMAT",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.usage = "eco2-tracing run [OPTIONS] COMMAND ..."
    parser.description = (
        "Start a Python server with tracing and logging set up and every FastAPI application instrumented. "
        "The code may still call configure_tracing and instrument_app; its arguments count."
    )
    parser.epilog, parser.formatter_class = _EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("--service-name", metavar="NAME", help="OTEL_SERVICE_NAME; else from the command")
    parser.add_argument(
        "--exporter", metavar="NAME", help="OTEL_TRACES_EXPORTER: otlp, waterfall, console, none"
    )
    parser.add_argument("--endpoint", metavar="URL", help="OTEL_EXPORTER_OTLP_ENDPOINT")
    parser.add_argument("--log-format", choices=("json", "text", "auto"), help="ECO2_TRACING_LOG_FORMAT")
    parser.add_argument("--no-logging", action="store_true", help="leave the logging configuration alone")
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="COMMAND", help="the command and its arguments"
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    environ = dict(os.environ)
    environ.update(
        {name: value for key, name in _VARIABLES.items() if (value := getattr(arguments, key)) is not None}
    )
    try:
        program = program_of(command, environ)
        line = prepare(environ, command, logging=not arguments.no_logging, is_terminal=sys.stdout.isatty())
        if line:
            print(line, file=sys.stderr, flush=True)
        os.execve(program, [program, *command[1:]], environ)  # noqa: S606 - pid and signals are the server's own
    except (CommandError, OSError) as error:
        print(f"eco2-tracing run: {error}", file=sys.stderr)
    return 2


def prepare(
    environ: MutableMapping[str, str],
    command: Sequence[str],
    *,
    logging: bool = True,
    is_terminal: bool = False,
) -> str | None:
    """Change the environment of a command so that it is traced.

    Args:
        environ: The environment of the command.
        command: The command with its arguments.
        logging: Set logging up.
        is_terminal: A person reads the output.

    Returns:
        The start-up line for that person, if any.
    """
    before = environ.get("PYTHONPATH")
    folders = [each for each in before.split(os.pathsep) if each != _FOLDER] if before else []
    environ["PYTHONPATH"] = os.pathsep.join([_FOLDER, *folders])
    name = service_name(command, os.getcwd())
    environ["_ECO2_TRACING_RUN"] = "logging" if logging else "no-logging"
    environ["_ECO2_TRACING_RUN_SERVICE"] = name
    environ["_ECO2_TRACING_RUN_PROCESS"] = str(os.getpid())
    for inherited in ("_ECO2_TRACING_RUN_APP", "_ECO2_TRACING_RUN_ANNOUNCED", "_ECO2_TRACING_RUN_LOG_FORMAT"):
        environ.pop(inherited, None)
    if not is_terminal:
        return None
    environ["_ECO2_TRACING_RUN_ANNOUNCED"] = "1"
    from eco2_tracing._cli.terminals import answers, choose_for_terminal  # imports socket

    return choose_for_terminal(environ, name, logging=logging, answers=answers)
