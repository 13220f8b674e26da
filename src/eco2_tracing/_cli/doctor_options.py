"""The options of `eco2-tracing doctor`."""

from __future__ import annotations

import argparse


def add_doctor_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.usage = "eco2-tracing doctor [OPTIONS] [-- COMMAND ...]"
    parser.description = (
        "Check the configuration, send a test span, and say what is wrong and how to cure it. With the command of a "
        "server, its application is imported, without being served, and checked too."
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--jaeger", metavar="URL", help="look for the test span in this Jaeger")
    parser.add_argument("--no-send", action="store_true", help="connect, and send no test span")
    parser.add_argument(
        "--headers",
        metavar="FILE",
        help="headers of one request as the service receives them, as lines of name: value; - reads standard input",
    )
    parser.add_argument(
        "--envoy",
        metavar="URL",
        default="http://127.0.0.1:15000",
        help="Envoy's admin interface (%(default)s)",
    )
    parser.add_argument(
        "--spans-per-second", type=float, metavar="N", help="the expected rate of exported spans"
    )
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="the command of the server, after --")
