"""Opens connections: addresses, proxies, TLS."""

from __future__ import annotations

import re
import socket
import ssl
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from eco2_tracing import _native as native
from eco2_tracing._export.transport.connection import Connection
from eco2_tracing._export.transport.proxies import no_proxy
from eco2_tracing._export.transport.racing import Candidate, Race, collected, interleaved
from eco2_tracing._lazy_imports import lazy_imports
from eco2_tracing._settings.hosts import Address, without_zone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eco2_tracing._export.transport.proxies import FindProxy, Proxy

_MAX_PROXY_RESPONSE = 16 * 1024


class Credentials(NamedTuple):
    """Files for TLS. They are read for each connection, because certificates are renewed.

    Attributes:
        certificate: Trusted authorities (PEM); the system's if ``None``.
        client_certificate: Client certificate chain (PEM).
        client_key: Client key (PEM).
    """

    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None

    def context(self) -> ssl.SSLContext:
        """Build the TLS context.

        Raises:
            OSError: A file cannot be used; the message names the file and its variable.
        """
        with _naming("OTEL_EXPORTER_OTLP_CERTIFICATE", self.certificate):
            context = ssl.create_default_context(cafile=self.certificate)
        if self.client_certificate:
            files = f"{self.client_certificate}, {self.client_key or 'which should hold the key too'}"
            with _naming("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and _CLIENT_KEY", files):
                context.load_cert_chain(self.client_certificate, self.client_key, password=_no_password)
        return context


@contextmanager
def _naming(variable: str, files: str | None) -> Iterator[None]:
    """Make errors of the TLS library name the variable and its files."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise OSError(f"cannot use {variable} ({files}): {error}") from None


def _no_password() -> str:
    # Without a password function, OpenSSL would ask for it on the terminal.
    raise ValueError("the key is encrypted")


class Connector:
    """Opens connections to a server, directly or through a proxy.

    Args:
        addresses: Addresses of the server; each is tried.
        credentials: For TLS; ``None`` for plaintext.
        protocols: Protocols offered by ALPN.
        find_proxy: Returns the proxy for an address, or ``None``; called for each connection.
        tunnel: Ask the proxy for a tunnel. Otherwise it forwards requests.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        addresses: tuple[Address, ...],
        credentials: Credentials | None,
        protocols: tuple[str, ...],
        find_proxy: FindProxy = no_proxy,
        *,
        tunnel: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._addresses = addresses
        self._credentials = credentials
        self._protocols = protocols
        self._find_proxy = find_proxy
        self._tunnel = tunnel
        self._clock = clock
        self._race = Race(clock)
        self._opening: Connection | None = None
        self._used: Candidate | None = None
        self._preferred: Candidate | None = None
        self._avoided: list[Candidate] = []

    @property
    def aborted(self) -> bool:
        """True after `abort`."""
        return self._race.aborted

    def open(self, deadline: float) -> Connection:
        """Connect.

        Raises:
            OSError: There is no connection.
        """
        context = self._credentials.context() if self._credentials else None
        if context:
            context.set_alpn_protocols(list(self._protocols))
        errors: list[OSError] = []
        routes = self._routes(errors)
        for index, (addresses, proxy) in enumerate(routes):
            # The remaining time is divided among the remaining routes.
            now = self._clock()
            share = now + (deadline - now) / (len(routes) - index)
            with collected(errors):
                return self._open(addresses, proxy, context, share)
        raise errors[0]

    def abort(self) -> None:
        """Called by another thread: fail the running attempt and all later ones."""
        self._race.abort()
        opening = self._opening
        if opening is not None:
            opening.abort()

    def close(self) -> None:
        """In a forked child: close the connection that the parent is opening."""
        self._race.close()
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.close()

    def answered(self) -> None:
        """Record that the server answered on the latest connection: its address is tried first from now on."""
        self._preferred, self._avoided = self._used, []

    def failed(self) -> None:
        """Record that the latest connection failed: its address is tried last from now on."""
        self._preferred = None
        if self._used is not None:
            self._avoided = [one for one in self._avoided if one != self._used] + [self._used]

    def _routes(self, errors: list[OSError]) -> list[tuple[tuple[Address, ...], Proxy | None]]:
        """Return the direct addresses as one route, and each address behind a proxy as another."""
        found: list[tuple[Address, Proxy | None]] = []
        for address in self._addresses:
            with collected(errors):
                found.append((address, self._find_proxy(address)))
        direct = tuple(address for address, proxy in found if proxy is None)
        proxied: list[tuple[tuple[Address, ...], Proxy | None]] = [
            ((a,), proxy) for a, proxy in found if proxy
        ]
        return [(direct, None), *proxied] if direct else proxied

    def _open(
        self,
        addresses: tuple[Address, ...],
        proxy: Proxy | None,
        context: ssl.SSLContext | None,
        deadline: float,
    ) -> Connection:
        try:
            sock, used = self._race.connect(
                self._candidates((proxy.address,) if proxy else addresses), deadline
            )
        except OSError as error:
            raise _named(error, proxy) from None
        self._used = used
        connection = self._opening = Connection(sock, self._clock)
        connection.proxy = proxy
        connection.until(deadline)
        if self.aborted:  # between the end of the race and now
            connection.abort()
        with ExitStack() as on_error:
            on_error.callback(self.failed)
            on_error.callback(connection.close)
            try:
                if proxy and self._tunnel:
                    _tunnel(connection, addresses[0], proxy)
                if context:
                    host = addresses[0].host if proxy else used.host
                    connection.secure(context, without_zone(host), http2="h2" in self._protocols)
            finally:
                self._opening = None
            on_error.pop_all()
        return connection

    def _candidates(self, addresses: tuple[Address, ...]) -> list[Candidate]:
        """Look up addresses. The one that answered last comes first."""
        found: list[Candidate] = []
        errors: list[OSError] = []
        for address in addresses:
            with collected(errors):
                found += _look_up(address)
        if errors and not found:
            raise errors[0]
        # Failed addresses that the name still has come last, the one that failed longest ago first among them.
        self._avoided = [one for one in self._avoided if one in found]
        failed = {one: turn for turn, one in enumerate(self._avoided)}
        return sorted(interleaved(found), key=lambda one: (failed.get(one, -1), one != self._preferred))


def _look_up(address: Address) -> list[Candidate]:
    """Resolve an address.

    Raises:
        OSError: It has no address.
    """
    host, port = address
    if not port:
        return [Candidate(socket.AF_UNIX, host, "localhost")]
    # `getaddrinfo` needs this codec. Importing it takes milliseconds, here in the export thread.
    with lazy_imports():
        import encodings.idna  # noqa: F401 - `getaddrinfo` would import it without protection from forks
    try:
        found = native.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as problem:
        raise OSError(f"{host!r} is not a host name: {problem}") from None
    return [Candidate(family, sockaddr, host) for family, _, _, _, sockaddr in found]


def _named(error: OSError, proxy: Proxy | None) -> OSError:
    """Return an error that names the proxy."""
    if proxy is None:
        return error
    kind = TimeoutError if isinstance(error, TimeoutError) else ConnectionError
    return kind(f"the proxy {proxy.name} cannot be reached: {error}")


def _tunnel(connection: Connection, address: Address, proxy: Proxy) -> None:
    """Ask a proxy for a tunnel (RFC 9110, 9.3.6).

    Raises:
        OSError: The proxy refuses or does not answer.
    """
    host = f"[{address.host}]" if ":" in address.host else address.host
    request = f"CONNECT {host}:{address.port} HTTP/1.1\r\nHost: {host}:{address.port}\r\n"
    if proxy.authorization:
        request += f"Proxy-Authorization: {proxy.authorization}\r\n"
    try:
        connection.sendall(f"{request}\r\n".encode())
        status = "100"
        while status.startswith("1"):  # interim responses come before the final one
            status = _status(connection)
    except TimeoutError:
        raise TimeoutError(f"the proxy {proxy.name} gave no answer in time") from None
    except OSError as error:
        raise ConnectionError(f"the proxy {proxy.name} gave no answer: {error}") from None
    if not status.startswith("2"):
        meaning = f"HTTP {status}" if status else "with something that is not HTTP"
        raise ConnectionError(f"the proxy {proxy.name} answered {meaning}")


def _status(connection: Connection) -> str:
    """Return the status of one response of a proxy; an empty string if it is not HTTP."""
    response = b""
    while b"\r\n\r\n" not in response:
        # One byte at a time: what follows belongs to the tunnel.
        data = connection.recv(1)
        response += data
        if not data or len(response) > _MAX_PROXY_RESPONSE:
            raise ConnectionError("it is cut off" if not data else "it has no end")
    found = re.match(rb"HTTP/1\.\d (\d{3})\b", response)
    return found[1].decode() if found else ""
