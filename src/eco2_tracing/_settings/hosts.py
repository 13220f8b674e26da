"""Which hosts are our own, told from the name alone: there is no DNS look-up."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

# RFC 1035, section 2.3.4: so long are a label and a name at most.
_NAME = re.compile(r"(?:[a-z0-9_][a-z0-9_-]{0,62}\.)*[a-z0-9_][a-z0-9_-]{0,62}")
_LONGEST = 253
# A name that ends in a number is an address to somebody: inet_aton reads "134744072" as 8.8.8.8.
# The URL standard draws the same line (https://url.spec.whatwg.org/#ends-in-a-number-checker).
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_ADDRESS = re.compile(r"[0-9a-f:.]+(?:%[a-z0-9._~-]+)?")  # with a zone (RFC 6874, section 2)

_PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/32",  # connects to the machine itself
        "10.0.0.0/8",  # RFC 1918
        "100.64.0.0/10",  # RFC 6598; pods have these addresses on some clouds
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::/128",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)


class OwnHosts:
    """The hosts that may have baggage, tracestate and request ids.

    Args:
        targets: Hosts beside the usual ones: ``host`` (exactly), ``*.suffix`` or ``.suffix``
            (anything below).
    """

    __slots__ = ("_exact", "_suffixes")

    def __init__(self, targets: Iterable[str] = ()) -> None:
        names = [_normal(target.removeprefix("*")) for target in targets]
        self._exact = frozenset(name for name in names if name and name[0] != ".")
        self._suffixes = tuple(name for name in names if len(name) > 1 and name[0] == ".")

    def includes(self, host: str) -> bool:
        """Tell whether a host, without its port, is our own."""
        name = _normal(host)
        if name in self._exact:
            return True
        if ":" in name or _NUMBER.fullmatch(name.rpartition(".")[2]):
            return _is_private_address(name)
        return bool(_NAME.fullmatch(name)) and ("." not in name or self._is_own_domain(name))

    def _is_own_domain(self, name: str) -> bool:
        """Tell whether a dotted name is the cluster's, loopback's or a target's."""
        return (
            ".svc." in name
            or name.endswith((".svc", ".cluster.local", ".localhost"))
            or (bool(self._suffixes) and name.endswith(self._suffixes))
        )


def is_host(text: str) -> bool:
    """Tell whether this is a name that can be looked up, or an address."""
    name = _normal(text)
    return _is_address(name) if ":" in name else len(name) <= _LONGEST and bool(_NAME.fullmatch(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _normal(host: str) -> str:
    """Spell a host in the one way that it is compared in."""
    name = host.strip().lower().removesuffix(".")
    return name[1:-1] if name[:1] == "[" and name[-1:] == "]" and ":" in name else name


def _is_private_address(name: str) -> bool:
    """Tell whether this is the literal of a loopback, private or link-local address."""
    if not _ADDRESS.fullmatch(name):
        return False
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in _PRIVATE)
