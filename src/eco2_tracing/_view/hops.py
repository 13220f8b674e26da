"""Which spans are those of a proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eco2_tracing.testing import ReceivedSpan

GATEWAY, SIDECAR = "gateway", "sidecar"

# The instrumentation scopes of proxies that have no sidecars.
_SCOPES = frozenset({"github.com/traefik/traefik", "nginx"})
_GATEWAY_NAMES = ("gateway", "ingress", "egress")


def hop_of(span: ReceivedSpan, *, is_top: bool) -> str:
    """Return ``gateway`` or ``sidecar`` for a span of a proxy, and an empty text for a span of a service.

    Envoy sets the tag ``component`` to ``proxy``. Istio's node ids begin with the kind of the proxy, and its clusters
    with the direction. Where neither says more, a proxy at the top of a trace is a gateway.

    Args:
        span: The span.
        is_top: True if it has no parent in the trace.
    """
    attributes = span.attributes
    if attributes.get("component") != "proxy":
        is_proxy = span.scope in _SCOPES or span.resource.get("webengine.name") == "Caddy"
        return GATEWAY if is_proxy else ""
    node, service = str(attributes.get("node_id", "")), span.service.lower()
    if node.startswith("router~") or any(name in service for name in _GATEWAY_NAMES):
        return GATEWAY
    if node.startswith(("sidecar~", "waypoint~")):
        return SIDECAR
    direction = str(attributes.get("upstream_cluster", "")).partition("|")[0]
    return SIDECAR if direction == "inbound" or not is_top else GATEWAY
