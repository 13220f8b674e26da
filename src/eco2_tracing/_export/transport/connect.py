"""Opening connections: addresses, proxies, TLS."""

from __future__ import annotations

import re
import socket
import ssl
import time
from typing import TYPE_CHECKING, NamedTuple

from eco2_tracing import _native as native
from eco2_tracing._export.transport.connection import Connection
from eco2_tracing._export.transport.proxies import no_proxy
from eco2_tracing._export.transport.racing import Candidate, Race, collected, interleaved
from eco2_tracing._lazy_imports import lazy_imports
from eco2_tracing._settings.targets import Address, without_zone

if TYPE_CHECKING:
    from collections.abc import Callable

    from eco2_tracing._export.transport.proxies import FindProxy, Proxy

_MAX_PROXY_ANSWER = 16 * 1024


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


class Connector:
    """Opens connections to a server, directly or through a proxy.

    Args:
        addresses: The server's addresses; each is tried.
        credentials: For TLS; ``None`` for plaintext.
        protocols: What to offer by ALPN.
        find_proxy: Returns the proxy for an address, or ``None``; asked for each connection.
        tunnel: Ask a proxy for a tunnel; else the requests are for it to forward.
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

        Args:
            deadline: Reading of the clock at which to give up.

        Raises:
            OSError: There is no connection.
        """
        context = self._credentials.context() if self._credentials else None
        if context:
            context.set_alpn_protocols(list(self._protocols))
        errors: list[OSError] = []
        ways = self._ways(errors)
        for index, (addresses, proxy) in enumerate(ways):
            # The time that is left is shared among the ways that are left.
            now = self._clock()
            share = now + (deadline - now) / (len(ways) - index)
            with collected(errors):
                return self._open(addresses, proxy, context, share)
        raise errors[0]

    def abort(self) -> None:
        """Let a connection attempt in another thread fail, and all later ones."""
        self._race.abort()
        opening = self._opening
        if opening is not None:
            opening.abort()

    def close(self) -> None:
        """Close what is being opened: in a forked child, where nobody goes on with it."""
        self._race.close()
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.close()

    def answered(self) -> None:
        """Note that the server answered on the latest connection: its address is tried first from now on."""
        self._preferred, self._avoided = self._used, []

    def failed(self) -> None:
        """Note that the latest connection was of no use: its address is tried last from now on."""
        self._preferred = None
        if self._used is not None:
            self._avoided = [one for one in self._avoided if one != self._used] + [self._used]

    def _ways(self, errors: list[OSError]) -> list[tuple[tuple[Address, ...], Proxy | None]]:
        """Return the addresses that are called directly, all together, and each one that is behind a proxy.

        Args:
            errors: Gets those of addresses whose proxy cannot be used.
        """
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
        try:
            if proxy and self._tunnel:
                _tunnel(connection, addresses[0], proxy)
            if context:
                host = addresses[0].host if proxy else used.host
                connection.secure(context, without_zone(host), http2="h2" in self._protocols)
        except BaseException:
            connection.close()
            self.failed()
            raise
        finally:
            self._opening = None
        return connection

    def _candidates(self, addresses: tuple[Address, ...]) -> list[Candidate]:
        """Look up addresses, the one that answered last time first."""
        found: list[Candidate] = []
        errors: list[OSError] = []
        for address in addresses:
            with collected(errors):
                found += _look_up(address)
        if errors and not found:
            raise errors[0]
        # Only what the name still has; the one that failed longest ago first, so that each has its turn.
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
    # Milliseconds of every start otherwise; a connection is opened in the export thread. The codec is for names.
    with lazy_imports():
        import encodings.idna  # noqa: F401 - imported by getaddrinfo otherwise
    try:
        found = native.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as problem:
        raise OSError(f"{host!r} is no host name: {problem}") from None
    return [Candidate(family, sockaddr, host) for family, _, _, _, sockaddr in found]


def _named(error: OSError, proxy: Proxy | None) -> OSError:
    """Return an error that names the proxy it is about."""
    if proxy is None:
        return error
    kind = TimeoutError if isinstance(error, TimeoutError) else ConnectionError
    return kind(f"the proxy {proxy.name} cannot be reached: {error}")


def _tunnel(connection: Connection, address: Address, proxy: Proxy) -> None:
    """Ask a proxy for a tunnel (RFC 9110, 9.3.6).

    Raises:
        OSError: It refuses.
    """
    host = f"[{address.host}]" if ":" in address.host else address.host
    request = f"CONNECT {host}:{address.port} HTTP/1.1\r\nHost: {host}:{address.port}\r\n"
    if proxy.authorization:
        request += f"Proxy-Authorization: {proxy.authorization}\r\n"
    try:
        connection.sendall(f"{request}\r\n".encode())
        status = "100"
        while status.startswith("1"):  # interim answers come before the final one
            status = _status(connection)
    except TimeoutError:
        raise TimeoutError(f"the proxy {proxy.name} gave no answer in time") from None
    except OSError as error:
        raise ConnectionError(f"the proxy {proxy.name} gave no answer: {error}") from None
    if not status.startswith("2"):
        meaning = f"HTTP {status}" if status else "with something that is not HTTP"
        raise ConnectionError(f"the proxy {proxy.name} answered {meaning}")


def _status(connection: Connection) -> str:
    """Read one answer of a proxy, and return its status; nothing if it is no HTTP."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        # A byte at a time: what follows belongs to the tunnel.
        data = connection.recv(1)
        answer += data
        if not data or len(answer) > _MAX_PROXY_ANSWER:
            raise ConnectionError("it is cut off" if not data else "it has no end")
    found = re.match(rb"HTTP/1\.\d (\d{3})\b", answer)
    return found[1].decode() if found else ""
