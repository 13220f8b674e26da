"""The viewer of `eco2-tracing demo --view`: it receives what the demo sends, and stays."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import Self

from eco2_tracing._cli.page import serve_page
from eco2_tracing._cli.view_options import VIEW_PORT
from eco2_tracing._view.receiver import PortError, Receiver
from eco2_tracing._view.store import Store
from eco2_tracing.testing._store import SpanStore


class DemoViewer(SpanStore):
    """Receives spans and log records on free ports, and shows them on a page. It is a context manager.

    Attributes:
        address: The address of the page.
        http_port: The port of OTLP/HTTP and Zipkin.
        grpc_endpoint: The endpoint of OTLP/gRPC.
    """

    def __init__(self) -> None:
        super().__init__()
        self.address = self.grpc_endpoint = ""
        self.http_port = 0
        self._stopped = threading.Event()
        self._stack = ExitStack()
        self._known: dict[str, int] = {}

    def __enter__(self) -> Self:
        """Receive, and serve the page at the usual port, or at a free one."""
        self._store = self._stack.enter_context(closing(Store()))
        self._stack.callback(self._store.listen(self._read))
        receiver = self._stack.enter_context(Receiver(self._store, 0, 0, 0))
        self.grpc_endpoint, self.http_port = f"http://127.0.0.1:{receiver.grpc_port}", receiver.http_port
        try:
            self.address = self._stack.enter_context(serve_page(self._store, VIEW_PORT, self._stopped))
        except PortError:
            self.address = self._stack.enter_context(serve_page(self._store, 0, self._stopped))
        return self

    def __exit__(self, *_exception: object) -> None:
        """Stop."""
        self._stack.close()

    def stay(self) -> None:
        """Wait for the end of the page's server."""
        self._stopped.wait()

    def _read(self, trace_ids: Sequence[str]) -> None:
        """Hold the spans that are new."""
        with self._changed:
            for trace in filter(None, map(self._store.get, trace_ids)):
                self._add(trace.received[self._known.get(trace.trace_id, 0) :])
                self._known[trace.trace_id] = len(trace.received)
