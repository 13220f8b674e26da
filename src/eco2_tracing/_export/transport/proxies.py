"""Finds proxies in the environment, by gRPC's rules for gRPC and by those of requests for HTTP.

Sources: https://github.com/grpc/grpc/blob/master/doc/environment_variables.md and `requests.utils`.
Both are extended: entries of ``NO_PROXY`` may be IPv4 and IPv6 ranges (CIDR), and may have brackets or a port. gRPC's
variables are also read in upper case, after those in lower case.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from eco2_tracing._settings.hosts import Address, without_escaped_zone, without_zone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    FindProxy = Callable[[Address], "Proxy | None"]
    _Ip = ipaddress.IPv4Address | ipaddress.IPv6Address

_GRPC_VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")
_GRPC_EXCEPTIONS = ("no_grpc_proxy", "no_proxy")
_SHOWN_LENGTH = 100
_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*):(?P<port>\d{1,5})")


class Proxy(NamedTuple):
    """A proxy.

    Attributes:
        address: Host and port.
        authorization: Value of the ``Proxy-Authorization`` header; empty for none.
        name: URL without credentials and variable, for messages.
    """

    address: Address
    authorization: str
    name: str


class ProxyError(OSError):
    """The environment names a proxy that cannot be used."""


def no_proxy(_: Address) -> None:
    """Return ``None``."""


def grpc_proxy(environ: Mapping[str, str], address: Address) -> Proxy | None:
    """Return the proxy for a gRPC server, or ``None`` for a direct connection.

    Raises:
        ProxyError: The value of the variable cannot be used.
    """
    variable = _first_set(environ, _GRPC_VARIABLES)
    # An empty value means no proxy, whatever later variables say.
    if not address.port or not variable or not environ[variable]:
        return None
    exceptions = _first_set(environ, _GRPC_EXCEPTIONS)
    if exceptions and _is_excepted(address, environ[exceptions]):
        return None
    return _parse(variable, environ[variable])


def http_proxy(environ: Mapping[str, str], scheme: str, address: Address) -> Proxy | None:
    """Return the proxy for an HTTP server, or ``None`` for a direct connection.

    Raises:
        ProxyError: The value of the variable cannot be used.
    """
    for name in (f"{scheme}_proxy", "all_proxy"):
        variable = _first_set(environ, (name,))  # an empty value in lower case counts, as in `urllib.request`
        if variable and environ[variable]:
            break
    else:
        return None
    exceptions = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    return None if _is_excepted(address, exceptions) else _parse(variable, environ[variable])


def _first_set(environ: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    """Return the first variable that is set. Lower case comes first: gRPC reads no other."""
    upper = [name.upper() for name in names]
    return next(
        (name for name in (*names, *upper) if name in environ and not _is_forged(environ, name)), None
    )


def _is_forged(environ: Mapping[str, str], variable: str) -> bool:
    """Return whether the client of a CGI script may have set it, with a ``Proxy`` header (CVE-2016-1000110)."""
    return variable == "HTTP_PROXY" and "REQUEST_METHOD" in environ


def _is_excepted(address: Address, entries: str) -> bool:
    host = without_zone(address.host.lower().removesuffix("."))
    literal = _ip(host)
    return any(_matches(entry.strip().lower(), host, literal, address.port) for entry in entries.split(","))


def _matches(entry: str, host: str, literal: _Ip | None, port: int) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return literal is not None and _in_range(literal, entry)
    if entry.count(":") == 1 or entry.startswith("["):
        found = _PORT.fullmatch(entry)
        if found and int(found["port"]) != port:
            return False
        entry = found["host"] if found else entry
    entry = entry.removeprefix("[").removesuffix("]")
    if literal is not None and literal == _ip(without_zone(entry)):
        return True
    domain = entry.removeprefix("*").lstrip(".").removesuffix(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _in_range(literal: _Ip, entry: str) -> bool:
    network, _, bits = entry.partition("/")
    try:
        return literal in ipaddress.ip_network(f"{network.strip('[]')}/{bits.strip(']')}", strict=False)
    except ValueError:
        return False


def _ip(text: str) -> _Ip | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _parse(variable: str, text: str) -> Proxy:
    """Parse a proxy's URL, or a host and a port.

    Raises:
        ProxyError: It cannot be used.
    """
    text = text.strip()
    shown = re.split("[/?#]", text.rpartition("@")[2].rpartition("//")[2])[0][:_SHOWN_LENGTH]
    scheme = text.partition("://")[0] if "://" in text else ""
    name = f"{scheme[:20] or 'http'}://{shown} ({variable})"
    try:
        parts = urlsplit(text if scheme else f"//{text}")
        address = Address(without_escaped_zone(parts.hostname or ""), parts.port or 80)
    except ValueError:
        raise ProxyError(f"the proxy {name} cannot be used: it is no URL of a host and a port") from None
    if parts.scheme not in ("", "http"):
        raise ProxyError(f"the proxy {name} cannot be used: only http:// proxies are supported")
    if not address.host:
        raise ProxyError(f"the proxy {name} cannot be used: it names no host")
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":
        raise ProxyError(
            f"the proxy {name} cannot be used: write / ? and # in its user name and password as %2F %3F and %23"
        )
    return Proxy(address, _authorization(parts.username, parts.password), name)


def _authorization(username: str | None, password: str | None) -> str:
    if username is None:
        return ""
    pair = f"{unquote(username)}:{unquote(password or '')}"
    return f"Basic {base64.b64encode(pair.encode(errors='surrogateescape')).decode()}"
