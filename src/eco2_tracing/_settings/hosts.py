"""Internal hosts, recognised by their name: there is no DNS look-up."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

# RFC 1035, section 2.3.4: the maximum length of a label and of a name.
_NAME = re.compile(r"(?:[a-z0-9_][a-z0-9_-]{0,62}\.)*[a-z0-9_][a-z0-9_-]{0,62}")
_LONGEST = 253
# Some resolvers read a name that ends in a number as an address: to inet_aton, "134744072" is 8.8.8.8.
# The URL standard has the same rule (https://url.spec.whatwg.org/#ends-in-a-number-checker).
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_ADDRESS = re.compile(r"[0-9a-f:.]+(?:%[a-z0-9._~-]+)?")  # with a zone (RFC 6874, section 2)

# 0.0.0.0 connects to the machine itself; 100.64.0.0/10 (RFC 6598) is used for pods on some clouds.
_PRIVATE = [
    *map(
        ipaddress.ip_network, ("0.0.0.0/32", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16")
    ),
    *map(
        ipaddress.ip_network,
        ("172.16.0.0/12", "192.168.0.0/16", "::/128", "::1/128", "fc00::/7", "fe80::/10"),
    ),
]


class InternalHosts:
    """The hosts that receive baggage, tracestate and request ids.

    Args:
        targets: More internal hosts: ``host`` (exactly), ``*.suffix`` or ``.suffix`` (anything below).
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
    return (
        _address(name) is not None if ":" in name else len(name) <= _LONGEST and bool(_NAME.fullmatch(name))
    )


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
