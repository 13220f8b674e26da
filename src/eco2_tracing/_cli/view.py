"""The command `eco2-tracing view`: a receiver with a store, a page or a terminal, and the command that it runs."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from importlib.util import find_spec
from types import FrameType

from eco2_tracing._cli.page import serve_page
from eco2_tracing._errors import MissingExtraError
from eco2_tracing._view.follow import Follower
from eco2_tracing._view.log_files import FollowedFile, follow_stream
from eco2_tracing._view.receiver import PortError, Receiver
from eco2_tracing._view.store import Store, StoreError

_GRACE_S = 10.0
_REST_S = 2.0  # for the output of a command that has ended
_STREAM = "-"
_LEFT_OUT = (
    "OTEL_EXPORTER_OTLP_",
    "OTEL_TRACES_SAMPLER",
    "OTEL_SDK_DISABLED",
    "OTEL_ENABLED",
    "OTEL_SAMPLING_RATE",
)


def run_view(arguments: argparse.Namespace) -> int:
    """Receive and show traces until Ctrl-C, SIGTERM, or the end of the command.

    Returns:
        The exit code of the command; without one 0, and 2 if the viewer cannot start.

    Raises:
        MissingExtraError: There is no uvicorn for the page.
    """
    if not arguments.terminal and find_spec("uvicorn") is None:
        raise MissingExtraError("eco2-tracing view without --terminal", "uvicorn", "demo")
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    try:
        with ExitStack() as stack:
            store = stack.enter_context(closing(Store(arguments.store or ":memory:")))
            ports = arguments.grpc_port, arguments.http_port, arguments.zipkin_port
            receiver = stack.enter_context(Receiver(store, *ports))
            for path in dict.fromkeys(each for each in arguments.logs if each != _STREAM):
                stack.enter_context(FollowedFile(store, path))
            return _View(store, receiver, arguments, command).run(stack)
    except (PortError, StoreError, OSError) as error:
        print(f"eco2-tracing view: {error}", file=sys.stderr)
        return 2


class _View:
    """One run of the command."""

    def __init__(
        self, store: Store, receiver: Receiver, arguments: argparse.Namespace, command: Sequence[str]
    ) -> None:
        self._store = store
        self._receiver = receiver
        self._port: int = arguments.port
        self._terminal: bool = arguments.terminal
        self._command = command
        self._reads_output: bool = _STREAM in arguments.logs
        self._stopped = threading.Event()

    def run(self, stack: ExitStack) -> int:
        """Show the traces; return the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM):
            stack.callback(signal.signal, number, signal.signal(number, self._stop))
        address = (
            None
            if self._terminal
            else stack.enter_context(serve_page(self._store, self._port, self._stopped))
        )
        show = self._stopped.wait if address is not None else self._follow()
        self._announce(address)
        if self._reads_output and not self._command:
            self._follow_stream(stack, os.dup(sys.stdin.fileno()), "standard input", 0.0)
        child = None if not self._command else self._start(stack, address)
        show()
        return 0 if child is None else _stop_child(child)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopped.set()

    def _follow(self) -> Callable[[], object]:
        follower = Follower(self._store, sys.stdout)
        return lambda: follower.run(self._stopped)

    def _announce(self, address: str | None) -> None:
        receiver = self._receiver
        where = "in this terminal" if address is None else f"at {address}"
        print(
            f"eco2-tracing view: traces {where}; OTLP on 127.0.0.1:{receiver.grpc_port} (gRPC) and "
            f"{receiver.http_port} (HTTP), Zipkin on {receiver.zipkin_port}",
            file=sys.stderr,
            flush=True,
        )

    def _start(self, stack: ExitStack, address: str | None) -> subprocess.Popen[bytes]:
        """Start the command; its end ends the viewer."""
        trace = None if address is None else f"{address}/trace/{{trace_id}}"
        environ = viewed_environ(os.environ, self._receiver.grpc_port, trace)
        if self._reads_output:
            environ |= {"OTEL_LOGS_EXPORTER": "none"}
            environ.setdefault("PYTHONUNBUFFERED", "1")  # a pipe would delay the lines
        reads, writes = os.pipe() if self._reads_output else (None, None)
        finish = None if reads is None else self._follow_stream(stack, reads, "standard output", _REST_S)
        command = [sys.executable, "-m", "eco2_tracing", "run", *self._command]
        child = subprocess.Popen(command, env=environ, stdout=writes)
        stack.callback(_stop_child, child)
        if writes is not None:
            os.close(writes)

        def wait() -> None:
            child.wait()
            if finish is not None:
                finish()
            self._stopped.set()

        threading.Thread(target=wait, name="view-command", daemon=True).start()
        return child

    def _follow_stream(self, stack: ExitStack, stream: int, name: str, rest_s: float) -> Callable[[], None]:
        """Follow the log lines of a stream; return a function that waits for the rest of them."""
        end = partial(follow_stream(self._store, stream, sys.stdout.fileno(), name), rest_s)
        stack.callback(end)
        return end


def viewed_environ(environ: Mapping[str, str], grpc_port: int, address: str | None) -> dict[str, str]:
    """Return the environment of a command whose every trace goes to a receiver of this machine.

    Args:
        environ: The environment of this process.
        grpc_port: The port of the receiver.
        address: The address of a trace, with ``{trace_id}``; ``None`` without a page.
    """
    made = {key: value for key, value in environ.items() if not key.startswith(_LEFT_OUT)}
    made |= {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{grpc_port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_TRACES_SAMPLER": "always_on",
        "_ECO2_TRACING_VIEW": "1",  # without the advice against that sampler
        # The row of a trace is there soon after the request.
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_BLRP_SCHEDULE_DELAY": "100",
    }
    if address is not None:
        made.setdefault("ECO2_TRACING_TRACE_URL", address)
    return made


def _stop_child(child: subprocess.Popen[bytes]) -> int:
    """Stop the command unless it has ended; return its exit code, 128 and more for a signal."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    return child.returncode if child.returncode >= 0 else 128 - child.returncode
