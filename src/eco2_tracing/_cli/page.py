"""The page of the viewer: served in a thread, and opened in a browser."""

from __future__ import annotations

import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from eco2_tracing._view.app import build_app
from eco2_tracing._view.receiver import port_error

if TYPE_CHECKING:
    from eco2_tracing._view.store import Store

_DISPLAYS = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")


@contextmanager
def serve_page(store: Store, port: int, stopped: threading.Event) -> Iterator[str]:
    """Serve the page of a store; yield its address.

    Args:
        store: The store.
        port: The port on loopback; 0 uses a free one.
        stopped: Set when the server ends, and at the end of the block.

    Raises:
        PortError: The port is in use.
    """
    import uvicorn

    try:
        listener = socket.create_server(("127.0.0.1", port))
    except OSError:
        raise port_error(port, "--port") from None
    app = build_app(store, stopped.is_set)
    # Loggers are left as they are, because the demo serves the page in a process with other log lines.
    config = uvicorn.Config(
        app, log_config=None, lifespan="off", timeout_graceful_shutdown=2, server_header=False
    )
    server = uvicorn.Server(config)

    def serve() -> None:
        server.run(sockets=[listener])
        stopped.set()

    thread = threading.Thread(target=serve, name="view-page", daemon=True)
    with closing(listener):
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stopped.set()
            server.should_exit = True
            thread.join()


def open_in_browser(
    address: str, environ: Mapping[str, str] = os.environ, platform: str = sys.platform
) -> None:
    """Open an address in a browser, unless there is no display: a browser in the terminal would be in the way."""
    if platform in ("darwin", "win32") or any(environ.get(name) for name in _DISPLAYS):
        with suppress(webbrowser.Error):
            webbrowser.open(address)
