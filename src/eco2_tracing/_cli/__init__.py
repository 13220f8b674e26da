"""The command `eco2-tracing`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from eco2_tracing._cli.doctor_options import add_doctor_options
from eco2_tracing._cli.run import add_options
from eco2_tracing._cli.view_options import add_export_options, add_show_options, add_view_options
from eco2_tracing._errors import MissingExtraError

_CANNOT_RUN = 2  # also the exit code of argparse


def _run_demo(arguments: argparse.Namespace) -> int:
    for package in ("uvicorn", "httpx"):
        if find_spec(package) is None:
            raise MissingExtraError("eco2-tracing demo", package, "demo")
    from eco2_tracing._cli.demo import run_demo

    return run_demo(
        endpoint=arguments.endpoint,
        use_envoy=arguments.envoy,
        view=arguments.view,
        browser=arguments.browser,
    )


def _run_doctor(arguments: argparse.Namespace) -> int:
    from eco2_tracing._cli.doctor import run_doctor  # other commands do not need the library

    return run_doctor(arguments)


def _run_view(arguments: argparse.Namespace) -> int:
    from eco2_tracing._cli.view import run_view

    return run_view(arguments)


def _run_show(arguments: argparse.Namespace) -> int:
    from eco2_tracing._cli.show import run_show

    return run_show(arguments)


def _run_export(arguments: argparse.Namespace) -> int:
    from eco2_tracing._cli.show import run_export

    return run_export(arguments)


class _Version(argparse.Action):
    """Prints the version. Reading it takes as long as the rest of a start."""

    def __call__(self, parser: argparse.ArgumentParser, *_arguments: object) -> None:
        from importlib.metadata import version

        print(version("eco2-tracing"))
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="eco2-tracing", description="Tracing for FastAPI services behind a mesh."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(required=True, metavar="command")
    demo = commands.add_parser(
        "demo",
        help="run two services and show their traces",
        description=(
            "Run two services behind Envoy (if the command `envoy` is found), send requests,"
            " and show each trace with the log lines that share its id."
        ),
    )
    where = demo.add_mutually_exclusive_group()
    where.add_argument(
        "--endpoint",
        metavar="URL",
        help="export to this OTLP endpoint instead (HTTP if the port is 4318, else gRPC;"
        " OTEL_EXPORTER_OTLP_PROTOCOL overrides it); Envoy exports to port 9411 of the same host",
    )
    where.add_argument(
        "--view",
        action="store_true",
        help="show the traces and log lines on the page of `eco2-tracing view` too, until Ctrl-C",
    )
    demo.add_argument(
        "--no-browser",
        dest="browser",
        action="store_false",
        help="with --view, print the address of the page without opening a browser",
    )
    demo.add_argument(
        "--no-envoy", dest="envoy", action="store_false", help="call the services without a gateway"
    )
    demo.set_defaults(run=_run_demo)
    add_options(
        commands.add_parser(
            "run", help="start a Python server, traced, without a line of code", allow_abbrev=False
        )
    )
    view = commands.add_parser(
        "view", help="receive spans on this machine and show the traces", allow_abbrev=False
    )
    add_view_options(view)
    view.set_defaults(run=_run_view)
    show = commands.add_parser("show", help="print one trace")
    add_show_options(show)
    show.set_defaults(run=_run_show)
    export = commands.add_parser("export", help="write one trace as OTLP JSON, Jaeger JSON, HTML or Markdown")
    add_export_options(export)
    export.set_defaults(run=_run_export)
    doctor = commands.add_parser("doctor", help="check the configuration and send a test span")
    add_doctor_options(doctor)
    doctor.set_defaults(run=_run_doctor)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments without the program's name; `None` uses `sys.argv`.

    Returns:
        The exit code: 0 for success, 1 if a check failed, 2 if the command cannot run,
        130 if it was interrupted.
    """
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except MissingExtraError as missing:
        print(missing, file=sys.stderr)
        return _CANNOT_RUN
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of the output has ended, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code
