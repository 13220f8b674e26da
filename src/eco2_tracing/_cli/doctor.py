"""The command `eco2-tracing doctor`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from eco2_tracing._doctor.application import import_application, target_of
from eco2_tracing._doctor.finding import LIMIT_S, Facts
from eco2_tracing._doctor.mesh import parse_headers
from eco2_tracing._doctor.report import as_json, as_text, is_ok, run_checks
from eco2_tracing._settings import load_settings

_STRICT = "ECO2_TRACING_STRICT"
_RUN = ("eco2-tracing", "run")


def run_doctor(arguments: argparse.Namespace) -> int:
    """Check the configuration and print the report.

    Returns:
        0: no problem, 1: a problem, 2: the command line cannot be used.
    """
    begun = time.monotonic()
    os.environ.pop(_STRICT, None)  # wrong settings are findings here
    try:
        headers = None if arguments.headers is None else parse_headers(_text(arguments.headers))
    except (OSError, ValueError, AttributeError) as error:
        print(f"eco2-tracing doctor: --headers: {error}", file=sys.stderr)
        return 2
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else list(arguments.command)
    is_run = [Path(command[0]).name, *command[1:2]] == list(_RUN) if command else False
    command = command[2:] if is_run else command
    environ = dict(os.environ)
    if is_run:
        from eco2_tracing._cli.run import prepare

        prepare(environ, command)
    target = target_of(command)
    facts = Facts(
        os.environ,
        load_settings(),
        application=None if target is None else import_application(target, environ),
        command=command,
        is_run=is_run,
        headers=headers,
        envoy=arguments.envoy,
        jaeger=arguments.jaeger,
        sends=not arguments.no_send,
        spans_per_second=arguments.spans_per_second,
        deadline=begun + LIMIT_S,
    )
    findings = run_checks(facts)
    print(as_json(facts, findings) if arguments.json else as_text(facts, findings), flush=True)
    return 0 if is_ok(findings) else 1


def _text(given: str) -> str:
    """Return the text of ``--headers``: of a file, of standard input for ``-``, or the argument itself."""
    if given == "-":
        return sys.stdin.read()
    return given if ":" in given and not Path(given).exists() else Path(given).read_text()
