"""NetworkPolicies as rules of `nft`, for Pods of one node: a subset that the kit uses.

Peers are `namespaceSelector`, `podSelector` (`matchLabels` alone) and `ipBlock`; ports are numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Document = Mapping[str, Any]
# By direction of a policy: the key of the peers in a rule, the address of the Pod that the policy is for, the peer's.
_DIRECTIONS = {"Ingress": ("from", "daddr", "saddr"), "Egress": ("to", "saddr", "daddr")}
_ESTABLISHED = "ct state established,related accept"


def rules(
    direction: str, policies: Sequence[Document], pods: Sequence[Document], spaces: Sequence[Document]
) -> list[str]:
    """The rules of one direction, in order; the first that matches decides.

    Args:
        direction: ``Ingress`` or ``Egress``.
        policies: All NetworkPolicies.
        pods: All Pods.
        spaces: All Namespaces.
    """
    labels = {one["metadata"]["name"]: one["metadata"].get("labels", {}) for one in spaces}
    own = _DIRECTIONS[direction][1]
    accept, isolated = [], []
    for policy in policies:
        if direction not in policy["spec"]["policyTypes"]:
            continue
        chosen = [
            pod
            for pod in pods
            if pod["metadata"]["namespace"] == policy["metadata"]["namespace"]
            and matches(policy["spec"]["podSelector"], pod["metadata"].get("labels", {}))
        ]
        for pod in chosen:
            address = pod["status"]["podIP"]
            isolated.append(f"ip {own} {address} reject")
            for rule in policy["spec"].get(direction.lower(), ()):
                accept += [
                    f"ip {own} {address} {one} accept"
                    for one in _allowed(direction, rule, policy, pods, labels)
                ]
    return [_ESTABLISHED, *dict.fromkeys(accept), *dict.fromkeys(isolated)]


def matches(selector: Document, labels: Mapping[str, str]) -> bool:
    """Whether a selector has these labels; an empty one has all."""
    assert not selector.get("matchExpressions"), "only matchLabels"
    return selector.get("matchLabels", {}).items() <= labels.items()


def _allowed(
    direction: str, rule: Document, policy: Document, pods: Sequence[Document], labels: Mapping[str, Document]
) -> Iterator[str]:
    """What one rule of a policy allows, without the address of its own Pod."""
    key, _, other = _DIRECTIONS[direction]
    ports = [f"{one.get('protocol', 'TCP').lower()} dport {one['port']}" for one in rule.get("ports", ())]
    peers = [
        f"ip {other} {one}" for peer in rule.get(key, ()) for one in _addresses(peer, policy, pods, labels)
    ]
    for peer in peers if key in rule else [""]:
        for port in ports if "ports" in rule else [""]:
            yield f"{peer} {port}"


def _addresses(
    peer: Document, policy: Document, pods: Sequence[Document], labels: Mapping[str, Document]
) -> Iterator[str]:
    """The addresses of one peer, as `nft` writes them."""
    if "ipBlock" in peer:
        excepted = ", ".join(peer["ipBlock"].get("except", ()))
        yield f"!= {{ {excepted} }}" if excepted else peer["ipBlock"]["cidr"]
        return
    for pod in pods:
        space = pod["metadata"]["namespace"]
        inside = (
            matches(peer["namespaceSelector"], labels[space])
            if "namespaceSelector" in peer
            else space == policy["metadata"]["namespace"]
        )
        if inside and matches(peer.get("podSelector", {}), pod["metadata"].get("labels", {})):
            yield pod["status"]["podIP"]
