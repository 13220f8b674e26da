"""The command `eco2-tracing view`: a receiver with a store, a page or a terminal, and the command that it runs."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from importlib.util import find_spec
from types import FrameType

from eco2_tracing._errors import MissingExtraError
from eco2_tracing._view.app import build_app
from eco2_tracing._view.follow import Follower
from eco2_tracing._view.receiver import PortError, Receiver, port_error
from eco2_tracing._view.store import Store, StoreError

_GRACE_S = 10.0
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
        self._stopped = threading.Event()

    def run(self, stack: ExitStack) -> int:
        """Show the traces; return the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM):
            stack.callback(signal.signal, number, signal.signal(number, self._stop))
        show = self._follow() if self._terminal else self._serve(stack)
        self._announce()
        child = None if not self._command else self._start(stack)
        show()
        return 0 if child is None else _stop_child(child)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopped.set()

    def _follow(self) -> Callable[[], None]:
        follower = Follower(self._store, sys.stdout)
        return lambda: follower.run(self._stopped)

    def _serve(self, stack: ExitStack) -> Callable[[], None]:
        import uvicorn

        try:
            listener = socket.create_server(("127.0.0.1", self._port))
        except OSError:
            raise port_error(self._port, "--port") from None
        stack.callback(listener.close)
        self._port = listener.getsockname()[1]
        app = build_app(self._store, self._stopped.is_set)
        config = uvicorn.Config(
            app, log_level="warning", lifespan="off", timeout_graceful_shutdown=2, server_header=False
        )
        server = uvicorn.Server(config)

        def serve() -> None:
            server.run(sockets=[listener])
            self._stopped.set()

        def show() -> None:
            thread = threading.Thread(target=serve, name="view-page", daemon=True)
            thread.start()
            self._stopped.wait()
            server.should_exit = True
            thread.join()

        return show

    def _announce(self) -> None:
        receiver = self._receiver
        where = "in this terminal" if self._terminal else f"at http://127.0.0.1:{self._port}"
        print(
            f"eco2-tracing view: traces {where}; OTLP on 127.0.0.1:{receiver.grpc_port} (gRPC) and "
            f"{receiver.http_port} (HTTP), Zipkin on {receiver.zipkin_port}",
            file=sys.stderr,
            flush=True,
        )

    def _start(self, stack: ExitStack) -> subprocess.Popen[bytes]:
        """Start the command; its end ends the viewer."""
        address = None if self._terminal else f"http://127.0.0.1:{self._port}/trace/{{trace_id}}"
        environ = viewed_environ(os.environ, self._receiver.grpc_port, address)
        child = subprocess.Popen([sys.executable, "-m", "eco2_tracing", "run", *self._command], env=environ)
        stack.callback(_stop_child, child)

        def wait() -> None:
            child.wait()
            self._stopped.set()

        threading.Thread(target=wait, name="view-command", daemon=True).start()
        return child


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
