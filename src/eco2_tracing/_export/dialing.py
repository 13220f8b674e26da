"""Opening connections: addresses, proxies, TLS.

gRPC's names of targets: https://github.com/grpc/grpc/blob/master/doc/naming.md
"""

from __future__ import annotations

import base64
import re
import socket
import ssl
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from eco2_tracing._export.connection import Connection
from eco2_tracing._late_imports import late_imports

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_PROXY_ANSWER = 16 * 1024


class Address(NamedTuple):
    """Where to connect to.

    Attributes:
        host: A name or an address; the path of a Unix socket.
        port: The port; 0 for a Unix socket.
    """

    host: str
    port: int


class Proxy(NamedTuple):
    """A proxy.

    Attributes:
        address: Where it is.
        authorization: Value of the ``Proxy-Authorization`` header; empty for none.
    """

    address: Address
    authorization: str


def grpc_address(target: str, default_port: int) -> Address:
    """Read a gRPC target.

    Args:
        target: ``host:port``, or with one of the schemes ``dns``, ``ipv4``, ``ipv6``, ``unix``, ``unix-abstract``.
        default_port: For a target that names none.

    Raises:
        ValueError: The scheme is another one.
    """
    scheme, colon, rest = target.partition(":")
    if colon and scheme in ("unix", "unix-abstract"):
        path = rest.removeprefix("//") if rest.startswith("//") else rest
        return Address("\0" + path if scheme == "unix-abstract" else path, 0)
    if scheme in ("vsock", "xds") and not re.fullmatch(r"\d{1,5}", rest):
        raise ValueError(f"targets of the kind {scheme}: are not supported")
    if scheme in ("dns", "ipv4", "ipv6") and not re.fullmatch(r"\d{1,5}", rest):
        target = rest.rpartition("/")[2].partition(",")[0]
    parts = urlsplit(f"//{target}")
    return Address(parts.hostname or "", parts.port or default_port)


class Credentials(NamedTuple):
    """Files for TLS, read anew for each connection: certificates are renewed while a process runs.

    Attributes:
        certificate: Authorities to trust (PEM); the system's when ``None``.
        client_certificate: Our own chain (PEM).
        client_key: Our own key (PEM).
    """

    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None

    def context(self) -> ssl.SSLContext:
        """Build the TLS context.

        Raises:
            OSError: A file cannot be used; the message names the file and its variable.
        """
        with _Naming("OTEL_EXPORTER_OTLP_CERTIFICATE", self.certificate):
            context = ssl.create_default_context(cafile=self.certificate)
        if self.client_certificate:
            files = f"{self.client_certificate}, {self.client_key or 'which should hold the key too'}"
            with _Naming("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and _CLIENT_KEY", files):
                context.load_cert_chain(self.client_certificate, self.client_key, password=_no_password)
        return context


class _Naming:
    """Makes errors of the TLS library say which file they are about."""

    def __init__(self, variable: str, files: str | None) -> None:
        self._subject = f"{variable} ({files})"

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, OSError | ValueError):
            raise OSError(f"cannot use {self._subject}: {error}") from None


def _no_password() -> str:
    # Without it, an encrypted key makes OpenSSL ask on the terminal, and wait.
    raise ValueError("the key is encrypted")


class Dialer:
    """Opens connections to one address, directly or through a proxy.

    Args:
        address: The server.
        credentials: For TLS; ``None`` for plaintext.
        protocols: What to offer by ALPN.
        proxy_variables: Kinds of proxies, as ``https`` for ``HTTPS_PROXY``; the first that is set is used.
        tunnel: Ask a proxy for a tunnel; else the requests are for it to forward.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        address: Address,
        credentials: Credentials | None,
        protocols: tuple[str, ...],
        proxy_variables: tuple[str, ...] = (),
        *,
        tunnel: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address
        self._credentials = credentials
        self._protocols = protocols
        self._proxy_variables = proxy_variables
        self._tunnel = tunnel
        self._clock = clock
        self._socket: socket.socket | None = None
        self._aborted = False

    def open(self, deadline: float) -> Connection:
        """Connect.

        Args:
            deadline: Reading of the clock at which to give up.

        Raises:
            OSError: There is no connection.
        """
        context = self._credentials.context() if self._credentials else None
        proxy = self.proxy()
        connection = Connection(
            self._connect(proxy.address if proxy else self._address, deadline), self._clock
        )
        connection.until(deadline)
        try:
            if proxy and self._tunnel:
                _tunnel(connection, self._address, proxy)
            if context:
                context.set_alpn_protocols(list(self._protocols))
                connection.secure(context, self._address.host)
        except BaseException:
            connection.close()
            raise
        return connection

    def abort(self) -> None:
        """Let a connection attempt in another thread fail, and all later ones."""
        self._aborted = True
        pending = self._socket
        if pending is not None:
            with suppress(OSError):
                pending.shutdown(socket.SHUT_RDWR)

    def proxy(self) -> Proxy | None:
        """Return the proxy that the environment names for the server now."""
        host, port = self._address
        # Milliseconds of every start otherwise; a connection is opened in the export thread. The codec is for names.
        with late_imports():
            import encodings.idna  # noqa: F401 - imported by getaddrinfo otherwise
            from urllib.request import getproxies_environment, proxy_bypass

        proxies = getproxies_environment()
        if not port or proxy_bypass(f"{host}:{port}"):
            return None
        for variable in self._proxy_variables:
            if url := proxies.get(variable):
                return _parsed_proxy(url)
        return None

    def _connect(self, address: Address, deadline: float) -> socket.socket:
        if not address.port:
            return self._connect_one(socket.AF_UNIX, address.host, deadline)
        try:
            found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        except UnicodeError as problem:
            raise OSError(f"{address.host!r} is no host name: {problem}") from None
        error: OSError | None = None
        for index, (family, _, _, _, target) in enumerate(found):
            # The time that is left is shared among the addresses that are left.
            now = self._clock()
            share = now + (deadline - now) / (len(found) - index)
            try:
                return self._connect_one(family, target, share)
            except OSError as failure:
                error = failure
        raise error or OSError("the name has no address")

    def _connect_one(self, family: int, target: object, deadline: float) -> socket.socket:
        left = deadline - self._clock()
        if left <= 0 or self._aborted:
            raise TimeoutError("timed out")
        sock = socket.socket(family, socket.SOCK_STREAM)
        self._socket = sock
        try:
            if family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(left)
            sock.connect(target)  # type: ignore[arg-type]  # an address as getaddrinfo gave it
        except BaseException:
            sock.close()
            raise
        finally:
            self._socket = None
        return sock


def _parsed_proxy(url: str) -> Proxy:
    parts = urlsplit(url if "://" in url else f"//{url}")
    authorization = ""
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Basic {base64.b64encode(user.encode()).decode()}"
    return Proxy(Address(parts.hostname or "", parts.port or 80), authorization)


def _tunnel(connection: Connection, address: Address, proxy: Proxy) -> None:
    """Ask a proxy for a tunnel (RFC 9110, 9.3.6).

    Raises:
        OSError: It refuses.
    """
    host = f"[{address.host}]" if ":" in address.host else address.host
    request = f"CONNECT {host}:{address.port} HTTP/1.1\r\nHost: {host}:{address.port}\r\n"
    if proxy.authorization:
        request += f"Proxy-Authorization: {proxy.authorization}\r\n"
    connection.sendall(f"{request}\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        # A byte at a time: what follows belongs to the tunnel.
        data = connection.recv(1)
        answer += data
        if not data or len(answer) > _MAX_PROXY_ANSWER:
            raise ConnectionError("the proxy gave no answer")
    status = answer.split(b"\r\n", 1)[0].decode("latin-1")
    if not re.match(r"HTTP/1\.\d 2\d\d", status):
        raise ConnectionError(f"the proxy answered {status}")
