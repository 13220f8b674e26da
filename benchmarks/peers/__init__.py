"""The tracers that are compared, one module each, configured as its own documentation recommends for production.

A module has `PACKAGES`, the distributions that it needs, and two functions:

- ``environment(variant, sink)`` gives the environment variables of the traced process.
- ``set_up(variant)`` runs in that process before FastAPI is imported, and returns a `Tracing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from fastapi import FastAPI

SERVICE = "bench"


@dataclass(frozen=True)
class Variant:
    """One configuration of one tracer.

    Attributes:
        name: The name in tables.
        peer: The module in this package.
        option: Which of the module's configurations.
        sampled: Whether requests are sampled; the caller's headers say so, or the tracer's own rate
            where it does not read them.
    """

    name: str
    peer: str
    option: str = ""
    sampled: bool = False


@dataclass(frozen=True)
class Sink:
    """Where the process sends its data; each variant has ports of its own.

    Attributes:
        grpc: Port of the OTLP gRPC receiver.
        http: Port that accepts any HTTP request: OTLP, and the protocols of the other back ends.
    """

    grpc: int
    http: int

    @property
    def grpc_url(self) -> str:
        """The address for OTLP over gRPC."""
        return f"http://127.0.0.1:{self.grpc}"

    @property
    def http_url(self) -> str:
        """The address for everything else."""
        return f"http://127.0.0.1:{self.http}"


def no_op(*_args: object) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Tracing:
    """What `set_up` returns.

    Attributes:
        app_options: Keyword arguments for ``FastAPI()``.
        instrument: Traces the application.
        flush: Delivers what is queued; called between the rounds of in-process measurements.
        span: Opens a manual span by name, as a context manager; `None` where there is no such API.
        database: Opens the span of a database query, as a context manager.
    """

    app_options: Mapping[str, Any] = field(default_factory=dict)
    instrument: Callable[[FastAPI], object] = no_op
    flush: Callable[[], object] = no_op
    span: Callable[[str], Any] | None = None
    database: Callable[[str], Any] | None = None


@contextmanager
def query_span(text: str) -> Iterator[None]:
    """Do what OpenTelemetry's `dbapi` instrumentation does around a cursor."""
    from opentelemetry import trace

    tracer = trace.get_tracer("database")
    with tracer.start_as_current_span("SELECT", kind=trace.SpanKind.CLIENT) as span:
        if span.is_recording():
            span.set_attribute("db.system", "postgresql")
            span.set_attribute("db.name", "shop")
            span.set_attribute("db.statement", text)
            span.set_attribute("net.peer.name", "postgres")
            span.set_attribute("net.peer.port", 5432)
        yield


class Peer(Protocol):
    """What a module of this package has."""

    PACKAGES: tuple[str, ...]

    def environment(self, variant: Variant, sink: Sink) -> dict[str, str]:
        """Give the environment variables of the process."""

    def set_up(self, variant: Variant) -> Tracing:
        """Configure the tracer, before FastAPI is imported."""


def load(variant: Variant) -> Peer:
    """Import the module of a variant."""
    return import_module(f"benchmarks.peers.{variant.peer}")  # type: ignore[return-value] - a module is a Peer


def missing(variant: Variant) -> str:
    """Name the first package of a variant that is not installed; empty if all are."""
    # Not at the top: the start of a process is measured, and this is slow.
    from importlib.metadata import PackageNotFoundError, version

    for package in load(variant).PACKAGES:
        try:
            version(package)
        except PackageNotFoundError:
            return package
    return ""
