"""The options of `eco2-tracing view`, `show` and `export`."""

from __future__ import annotations

import argparse

VIEW_PORT = 16686
_EPILOG = """\
examples:
  eco2-tracing view
  eco2-tracing view -- uvicorn shop.main:app --reload
  eco2-tracing view --terminal --store traces.db
  eco2-tracing view --logs - -- uvicorn shop.main:app
"""


def add_view_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command `view` and its options."""
    parser.usage = "eco2-tracing view [OPTIONS] [-- COMMAND ...]"
    parser.description = (
        "Receive spans and log records on the usual ports of this machine, and show the traces at "
        "http://127.0.0.1:16686 or in the terminal. With a command, it is started as by `eco2-tracing run`, "
        "sends to this receiver, and records every trace."
    )
    parser.epilog, parser.formatter_class = _EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("--terminal", action="store_true", help="print each trace here, without a web server")
    _add_port(parser)
    _add_store(parser, "hold the traces in this SQLite file, which can be opened again; else in memory")
    parser.add_argument(
        "--logs",
        action="append",
        default=[],
        metavar="FILE",
        help="add the JSON log lines of this file to their traces; - is the output of the command, else standard "
        "input; may be repeated",
    )
    for name, port, what in (
        ("grpc", 4317, "OTLP/gRPC"),
        ("http", 4318, "OTLP/HTTP"),
        ("zipkin", 9411, "Zipkin"),
    ):
        parser.add_argument(
            f"--{name}-port",
            type=int,
            default=port,
            metavar="PORT",
            help=f"port of {what}, {port} by default; 0 for a free one",
        )
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="COMMAND", help="the command and its arguments"
    )


def add_show_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command `show` and its options."""
    parser.description = (
        "Print one trace as a tree: of a running `eco2-tracing view`, of the file of a store, or each trace of a file "
        "of OTLP JSON or of Jaeger's JSON."
    )
    parser.add_argument("trace", metavar="TRACE_ID_OR_FILE", help="the id, its first digits, or a file")
    _add_port(parser)
    _add_store(parser, "read this file, which `eco2-tracing view --store` wrote")


def add_export_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command `export` and its options."""
    parser.description = "Write one trace to standard output; it is found as by `eco2-tracing show`."
    parser.add_argument("trace", metavar="TRACE_ID", help="the id, its first digits, or a file of one trace")
    parser.add_argument(
        "--format",
        choices=("otlp", "jaeger", "html", "md"),
        default="otlp",
        help="OTLP JSON (the default), JSON that Jaeger's page opens, an HTML file without script, or Markdown",
    )
    _add_port(parser)
    _add_store(parser, "read this file, which `eco2-tracing view --store` wrote")


def _add_port(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port",
        type=int,
        default=VIEW_PORT,
        metavar="PORT",
        help=f"port of the viewer, {VIEW_PORT} by default",
    )


def _add_store(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--store", metavar="FILE", help=text)
