"""OTLP over HTTP/1.1 with protobuf bodies.

Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import re
import time
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from eco2_tracing._export.result import ExportResult, http_result, success
from eco2_tracing._export.transport.http1 import KeptSocket
from eco2_tracing._export.transport.mismatch import tls_expected
from eco2_tracing._export.transport.persistent import PersistentTransport

if TYPE_CHECKING:
    from eco2_tracing._export.transport.connect import Connector
    from eco2_tracing._export.transport.connection import Connection
    from eco2_tracing._export.transport.persistent import RequestOptions

_MAX_RESPONSE_BYTES = 64 * 1024
_SWITCHING_PROTOCOLS = 101
_BAD_REQUEST = 400


class HttpTransport(PersistentTransport):
    """Posts requests to a server. Redirects are not followed: headers may hold credentials.

    Args:
        url: A URL of the server. Its path is not used.
        connector: Opens connections.
        options: What every request carries.
    """

    def __init__(self, url: str, connector: Connector, options: RequestOptions) -> None:
        super().__init__(connector, options.compress)
        parts = urlsplit(url)
        # A zone is not sent (RFC 6874, section 4).
        host = re.sub(r"%[^\]]*\]", "]", parts.netloc.rpartition("@")[2])
        self._secure = parts.scheme == "https"
        self._origin = f"{parts.scheme}://{host}"
        self._headers = {
            "Host": host,
            "User-Agent": options.user_agent,
            "Content-Type": "application/x-protobuf",
            **({"Content-Encoding": "gzip"} if options.compress else {}),
            **dict(options.headers),
        }

    def _ready(self, deadline: float) -> Connection:
        if self._connection is not None and self._connection.glance() is not None:
            self.close()
        return self._connected(deadline)

    def _exchange(self, path: str, body: bytes, deadline: float, *, resent: bool) -> ExportResult:
        connection = self._ready(deadline)
        client = HTTPConnection("unused")
        client.sock = sock = KeptSocket(connection)
        client.auto_open = 0
        # A proxy that forwards plaintext needs the whole URL (RFC 9112, 3.2.2); TLS goes through a tunnel.
        proxy = None if self._secure else connection.proxy
        client.putrequest(
            "POST", self._origin + path if proxy else path, skip_host=True, skip_accept_encoding=True
        )
        for name, value in self._headers.items():
            client.putheader(name, value.encode("latin-1", "replace"))
        if proxy and proxy.authorization:
            client.putheader("Proxy-Authorization", proxy.authorization)
        client.putheader("Content-Length", str(len(body)))
        client.endheaders(body)
        sock.wait_for_response()
        with client.getresponse() as response:
            content = self._read(response)
        if 200 <= response.status < 300:
            return success(content)
        if response.status == _BAD_REQUEST and (problem := tls_expected(content)):
            raise ConnectionError(problem)
        return http_result(response.status, response.reason, response.getheader("Retry-After"), time.time())

    def _read(self, response: HTTPResponse) -> bytes:
        """Read the first bytes of a body. The status counts even if the body breaks off."""
        try:
            content = response.read(_MAX_RESPONSE_BYTES)
        except (OSError, HTTPException, ValueError):
            self.close()
            return b""
        if response.will_close or response.status == _SWITCHING_PROTOCOLS or not response.isclosed():
            self.close()
        return content
