"""Internal hosts, recognised by their name without a DNS look-up, and gRPC targets."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote, unquote_to_bytes

# RFC 1035, section 2.3.4: the maximum length of a label and of a name.
_NAME = re.compile(r"(?:[a-z0-9_][a-z0-9_-]{0,62}\.)*[a-z0-9_][a-z0-9_-]{0,62}")
_LONGEST = 253
# Some resolvers read a name that ends in a number as an address: to inet_aton, "134744072" is 8.8.8.8.
# The URL standard has the same rule (https://url.spec.whatwg.org/#ends-in-a-number-checker).
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_ADDRESS = re.compile(r"[0-9a-f:.]+(?:%[a-z0-9._~-]+)?")  # with a zone (RFC 6874, section 2)

# 0.0.0.0 connects to the machine itself; 100.64.0.0/10 (RFC 6598) is used for pods on some clouds.
_PRIVATE = [*map(ipaddress.ip_network, (
    "0.0.0.0/32", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
    "::/128", "::1/128", "fc00::/7", "fe80::/10",
))]  # fmt: skip


class InternalHosts:
    """The hosts that receive baggage, tracestate and request ids.

    More of them are ``host`` (exactly), ``*.suffix`` or ``.suffix`` (anything below).
    """

    __slots__ = ("_exact", "_suffixes")

    def __init__(self, targets: Iterable[str] = ()) -> None:
        names = [_normal(target.removeprefix("*")) for target in targets]
        self._exact = frozenset(name for name in names if name and name[0] != ".")
        suffixes = (name for name in names if len(name) > 1 and name[0] == ".")
        self._suffixes = (".svc", ".cluster.local", ".localhost", *suffixes)

    def includes(self, host: str) -> bool:
        """Return whether a host, without its port, is internal."""
        name = _normal(host)
        if name in self._exact:
            return True
        if ":" in name or _NUMBER.fullmatch(name.rpartition(".")[2]):
            return _is_private_address(name)
        internal = "." not in name or ".svc." in name or name.endswith(self._suffixes)
        return internal and bool(_NAME.fullmatch(name))


def is_host(text: str) -> bool:
    """Return whether this is a name that can be looked up, or an address."""
    name = _normal(text)
    if ":" in name:
        return _address(name) is not None
    return len(name) <= _LONGEST and bool(_NAME.fullmatch(name))


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _normal(host: str) -> str:
    """Return the one spelling of a host that is compared."""
    name = host.strip().lower().removesuffix(".")
    return name[1:-1] if name[:1] == "[" and name[-1:] == "]" and ":" in name else name


def _is_private_address(name: str) -> bool:
    """Return whether this is the literal of a loopback, private or link-local address."""
    address = _address(name) if _ADDRESS.fullmatch(name) else None
    address = getattr(address, "ipv4_mapped", None) or address
    return address is not None and any(address in network for network in _PRIVATE)


# "dns:4317" is a host with a port.
_TARGET = re.compile(r"(unix|unix-abstract|vsock|dns|ipv4|ipv6|xds):(?!\d{1,5}$)(.*)", re.DOTALL)
_LARGEST_PORT = 65535

OTLP_GRPC_PORT = 4317
"""The port of OTLP over gRPC."""


class Address(NamedTuple):
    """An address to connect to: host and port, or the path of a Unix socket and 0."""

    host: str
    port: int


class Target(NamedTuple):
    """A parsed gRPC target; the authority of ``dns://authority/host`` is its DNS server."""

    scheme: str  # dns, ipv4, ipv6, unix or unix-abstract
    addresses: tuple[Address, ...]
    dns_server: str = ""


def is_target(text: str) -> bool:
    """Return whether a text has one of gRPC's target schemes."""
    return bool(_TARGET.fullmatch(text))


def parse_target(text: str, default_port: int) -> Target:
    """Parse ``host:port``, or a gRPC target with a scheme.

    Raises:
        ValueError: The scheme is not supported, or an address cannot be used; names of hosts are not checked.
    """
    found = _TARGET.fullmatch(text)
    scheme, rest = found.groups() if found else ("dns", text.rpartition("@")[2])
    if scheme in ("vsock", "xds"):
        raise ValueError(f"targets of the kind {scheme}: are not supported")
    authority, path = "", rest
    if found and rest.startswith("//"):
        authority, slash, path = rest[2:].partition("/")
        path = slash + path if scheme.startswith("unix") else path
        if scheme == "unix" and authority:
            # gRPC rejects it; a path with one slash less than required was meant.
            authority, path = "", authority + path
    if scheme.startswith("unix"):
        return Target(scheme, (_unix(scheme, path),))
    parts = path.removeprefix("/").split(",") if scheme != "dns" else [path.removeprefix("/")]
    addresses = tuple(_target_address(scheme, part, default_port) for part in parts if part)
    if not addresses:
        raise ValueError("it names no address")
    return Target(scheme, addresses, authority)


def without_escaped_zone(host: str) -> str:
    """Return a host with ``%25`` before its IPv6 zone unescaped (RFC 6874, section 2)."""
    return re.sub(r"^([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)%25(.)", r"\1%\2", host)


def without_zone(host: str) -> str:
    """Return a host without its IPv6 zone, which only this machine understands (RFC 6874, section 4)."""
    return host.partition("%")[0] if ":" in host else host


def _unix(scheme: str, path: str) -> Address:
    name = os.fsdecode(unquote_to_bytes(os.fsencode(path)))
    if not name:
        raise ValueError("it names no socket")
    return Address("\0" + name.removeprefix("/") if scheme == "unix-abstract" else name, 0)


def _target_address(scheme: str, text: str, default_port: int) -> Address:
    host, port = _split(unquote(text))
    host = without_escaped_zone(host)
    if scheme != "dns":
        # Raises ValueError for a text that is no address.
        (ipaddress.IPv4Address if scheme == "ipv4" else ipaddress.IPv6Address)(host)
    return Address(host, default_port if port is None else _port(port))


def _split(text: str) -> tuple[str, str | None]:
    """Split a host from its port; an IPv6 address with a port is in brackets."""
    if found := re.fullmatch(r"\[([^\]]*)\](?::(.*))?", text):
        return found[1], found[2]
    if text.count(":") > 1:
        return text, None
    host, colon, port = text.partition(":")
    return host, port if colon else None


def _port(text: str) -> int:
    port = int(text) if re.fullmatch("[0-9]{1,5}", text) else 0
    if not 0 < port <= _LARGEST_PORT:
        raise ValueError(f"{text!r} is no port")
    return port
