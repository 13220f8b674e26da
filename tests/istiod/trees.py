"""The tree of a login through the kit's mesh."""

from __future__ import annotations

from eco2_tracing.testing import ReceivedSpan, ReceivedTrace
from tests.support.cluster import AUTH, CHARACTER
from tests.support.istio_mesh import GATEWAY
from tests.support.kit import ROOT

# The depth of each span of a login, its service, and its name if it is an application's.
Row = tuple[int, str, str | None]
LOGIN: list[Row] = [
    (0, "gateway", None),
    (1, "gateway", None),
    (2, "auth proxy", None),
    (3, AUTH, "POST /api/v1/auth/login"),
    (4, AUTH, "verify credentials"),
    (4, AUTH, "GET"),
    (5, "auth proxy", None),
    (6, "character proxy", None),
    (7, CHARACTER, "GET /api/v1/characters/{user_id}"),
    (8, CHARACTER, "load character"),
]
# The proxies' service names, by provider: `serviceAttributeEnrichment` names a proxy like its workload.
NAMES = {
    "zipkin": {
        "gateway": "istio-ingressgateway.istio-system",
        "auth proxy": "auth-api.auth",
        "character proxy": "character-api.character",
    },
    "otel": {"gateway": GATEWAY, "auth proxy": AUTH, "character proxy": CHARACTER},
}


def is_proxy(span: ReceivedSpan) -> bool:
    """Whether a proxy made a span."""
    return span.attributes.get("component") == "proxy"


def shape(trace: ReceivedTrace) -> list[Row]:
    """Depth, service and name of each span; proxies' names are left out."""
    return [(depth, one.service, None if is_proxy(one) else one.name) for depth, one in trace.walk()]


def login(provider: str) -> list[Row]:
    """The tree of a login, by provider."""
    names = NAMES[provider]
    return [(depth, names.get(service, service), name) for depth, service, name in LOGIN]


PAGE = ROOT / "docs" / "troubleshooting" / "mesh-tracing-mistakes.md"


def drawn(trace: ReceivedTrace) -> str:
    """The trace as the page has it: each span's service and name; a top with a parent says that it is missing."""
    lines = []

    def draw(span: ReceivedSpan, lead: str, below: str, note: str = "") -> None:
        lines.append(f"{lead}{span.service}  {span.name}{note}")
        children = trace.children(span)
        for child in children[:-1]:
            draw(child, f"{below}├─ ", f"{below}│  ")
        for child in children[-1:]:
            draw(child, f"{below}└─ ", f"{below}   ")

    for top in trace.tops:
        draw(top, "", "", "  (its parent is missing)" if top.parent_span_id else "")
    return "\n".join(lines)


def is_on_the_page(trace: ReceivedTrace) -> bool:
    """Whether the page has the tree; prints the tree."""
    print(drawn(trace))
    return f"\n{drawn(trace)}\n" in PAGE.read_text()
