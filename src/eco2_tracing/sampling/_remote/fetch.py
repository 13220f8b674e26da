"""Requests a sampling strategy from a Jaeger server, over HTTP or gRPC."""

from __future__ import annotations

import json
import re
import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlencode, urlsplit

from eco2_tracing._lazy_imports import lazy_imports
from eco2_tracing._native import connect
from eco2_tracing._protobuf import block, fields, nested
from eco2_tracing._tls import TlsSocket
from eco2_tracing._untraced import untraced_headers

if TYPE_CHECKING:
    from http.client import HTTPConnection

MAX_ANSWER = 1 << 20
"""The largest response in bytes; a larger one is an error."""

TIMEOUT_S = 2.0
"""Seconds to connect, and to respond."""

_GRPC_PORTS = (5779, 14250)
_GRPC_METHOD = "/jaeger.api_v2.SamplingManager/GetSamplingStrategy"


def encode_question(service_name: str) -> bytes:
    """Return a ``SamplingStrategyParameters`` message."""
    return block(b"\x0a", service_name.encode())


def decode_strategy(data: bytes) -> dict[str, object]:
    """Decode a ``SamplingStrategyResponse`` into the shape of its JSON form; other bytes are a `ValueError`."""
    answer: dict[str, object] = {}
    for number, value in fields(data):
        if number == 2:
            answer["probabilisticSampling"] = _doubles(value, {1: "samplingRate"})
        elif number == 3:
            rates = [rate for field, rate in fields(nested(value)) if field == 1]
            answer["rateLimitingSampling"] = {"maxTracesPerSecond": rates[-1] if rates else 0}
        elif number == 4:
            answer["operationSampling"] = _operations(nested(value))
    return answer


def _operations(data: bytes) -> dict[str, object]:
    names = {1: "defaultSamplingProbability", 2: "defaultLowerBoundTracesPerSecond"}
    operations = _doubles(data, names)
    listed: list[dict[str, object]] = []
    for number, value in fields(data):
        if number == 3:
            operation = dict(fields(nested(value)))
            name = nested(operation.get(1, b"")).decode("utf-8", "replace")
            ratio = _doubles(operation.get(2, b""), {1: "samplingRate"})
            listed.append({"operation": name, "probabilisticSampling": ratio})
    return {**operations, "perOperationStrategies": listed}


def _doubles(data: object, names: dict[int, str]) -> dict[str, object]:
    return {names[number]: value for number, value in fields(nested(data)) if number in names}


@dataclass(frozen=True)
class Endpoint:
    """The address of a server of sampling strategies: the configured URL, with a path, and its parts.

    ``target`` is path and query of the request; ``None`` for gRPC.
    """

    url: str
    host: str
    port: int
    target: str | None
    secure: bool


def parse_endpoint(text: str) -> Endpoint:
    """Parse ``scheme://host:port/path``.

    A URL with a path is HTTP. One without a path is gRPC if the scheme is ``grpc`` or the port is one of Jaeger's gRPC
    ports: 5779, and 14250 of the specification's example. Otherwise it is HTTP with the path ``/sampling``. User and
    password are removed.

    Raises:
        ValueError: The text is no such URL.
    """
    text = re.sub("//[^/]*@", "//", text)  # The startup line shows the URL.
    parts = urlsplit(text if "://" in text else f"http://{text}")
    if parts.scheme not in ("http", "https", "grpc") or not parts.hostname:
        raise ValueError(f"{text!r} is no http, https or grpc URL")
    secure = parts.scheme == "https"
    port = parts.port or _default_port(parts)
    bare = parts.path in ("", "/") and not parts.query
    if parts.scheme == "grpc" or (bare and port in _GRPC_PORTS):
        return Endpoint(text, parts.hostname, port, None, secure)
    target = ("/sampling" if bare else parts.path) + (f"?{parts.query}" if parts.query else "")
    return Endpoint(f"{text.rstrip('/')}/sampling" if bare else text, parts.hostname, port, target, secure)


def _default_port(parts: SplitResult) -> int:
    return {"http": 80, "https": 443}.get(parts.scheme, 5779)


class Fetcher:
    """Fetches a service's strategy in one thread; another thread may abort that."""

    def __init__(self, endpoint: Endpoint, service_name: str) -> None:
        self._endpoint = endpoint
        self._service_name = service_name
        self._abort: Callable[[], object] | None = None

    def fetch(self) -> object:
        """Return the strategy, decoded from JSON or from protobuf into the same shape. Any failure is raised."""
        try:
            return self._http() if self._endpoint.target is not None else self._grpc()
        finally:
            self._abort = None

    def abort(self) -> None:
        """Abort the fetch of another thread."""
        abort = self._abort
        if abort is not None:
            abort()

    def _http(self) -> object:
        with lazy_imports():
            from http.client import HTTPConnection

        endpoint = self._endpoint
        target = endpoint.target or "/"
        connection = HTTPConnection(endpoint.host, endpoint.port, timeout=TIMEOUT_S)
        connection.default_port = (
            443 if endpoint.secure else 80
        )  # the port that the header ``Host`` leaves out
        self._abort = lambda: _shut_down(connection)
        try:
            connection.sock = self._connect()
            query = urlencode({"service": self._service_name})
            connection.request(
                "GET", f"{target}{'&' if '?' in target else '?'}{query}",
                headers={"Accept": "application/json", **untraced_headers()},
            )  # fmt: skip
            response = connection.getresponse()
            body = response.read(MAX_ANSWER + 1)
        finally:
            connection.close()
        if response.status != 200:
            raise ValueError(f"it answers {response.status} {response.reason}")
        if len(body) > MAX_ANSWER:
            raise ValueError(f"its answer is longer than {MAX_ANSWER} bytes")
        return json.loads(body)

    def _connect(self) -> socket.socket | TlsSocket:
        endpoint = self._endpoint
        sock = connect(endpoint.host, endpoint.port, TIMEOUT_S)
        if not endpoint.secure:
            return sock
        with ExitStack() as on_error:
            on_error.callback(sock.close)
            tls = TlsSocket(sock, ssl.create_default_context(), endpoint.host)
            tls.handshake()
            on_error.pop_all()
        return tls

    def _grpc(self) -> object:
        with lazy_imports():
            import grpc

        endpoint = self._endpoint
        address = f"{endpoint.host}:{endpoint.port}"
        options = [("grpc.max_receive_message_length", MAX_ANSWER)]
        # One channel a request: a forked child inherits none.
        channel = (
            grpc.secure_channel(address, grpc.ssl_channel_credentials(), options)
            if endpoint.secure
            else grpc.insecure_channel(address, options)
        )
        self._abort = channel.close
        with channel:
            message = encode_question(self._service_name)
            call = channel.unary_unary(_GRPC_METHOD)
            metadata = tuple(untraced_headers().items())
            return decode_strategy(call(message, timeout=TIMEOUT_S, metadata=metadata))


def _shut_down(connection: HTTPConnection) -> None:
    if connection.sock is not None:
        try:
            connection.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it is already closed
