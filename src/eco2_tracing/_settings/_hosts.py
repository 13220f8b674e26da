"""Which hosts are our own, told by name alone: no DNS look-up."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence


def is_own_host(host: str, targets: Sequence[str] = ()) -> bool:
    """Tell whether a host is inside: loopback, a private literal, dotless, of the cluster, or listed.

    Args:
        host: A name or an address, without port, brackets allowed.
        targets: Further hosts of our own, lower case; ``*.example.com`` and ``.example.com`` mean all below.
    """
    name = host.strip("[]").rstrip(".").lower()
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_private or name in targets
    except ValueError:
        pass
    if "." not in name or name.endswith((".svc", ".cluster.local", ".localhost")) or ".svc." in name:
        return True
    return any(name == target or _below(name, target) for target in targets)


def _below(name: str, target: str) -> bool:
    suffix = target.removeprefix("*")
    return suffix.startswith(".") and name.endswith(suffix)
