"""What proxies that cannot be run here make of a client's headers, as their documentation or source says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.proxies.clients import B3_MULTI, W3C, Client

# Ids of the emulated proxy.
TRACE, SPAN = "d" * 32, "e" * 16
ROOT = "Root=1-67891233-abcdef012345678912345678"


def amazon(client: Client) -> dict[str, str]:
    """Elastic Load Balancing, "Request tracing": a header without a parent or decision; the rest passes."""
    return {**client.headers, "X-Amzn-Trace-Id": ROOT}


def google(client: Client) -> dict[str, str]:
    """Cloud Trace, "Trace context": both headers name a span of Google's, in the client's trace if it has one."""
    trace = client.trace_id if client.kind == W3C else TRACE
    bit = int(client.sampled)
    return {
        **client.headers,
        "traceparent": f"00-{trace}-{SPAN}-0{bit}",
        "X-Cloud-Trace-Context": f"{trace}/{int(SPAN, 16)};o={bit}",
    }


def azure(client: Client) -> dict[str, str]:
    """Front Door, "Protocol support for HTTP headers": headers pass, and it adds a reference."""
    return {
        **client.headers,
        "Via": "1.1 Azure",
        "X-Azure-Ref": "0zxV+XAAAAABKMMOjBv2NT4TY6SQVjC0zV1NURURHRTA2",
    }


def cloudflare(client: Client) -> dict[str, str]:
    """Cloudflare, "HTTP headers": headers pass, and it adds the id of the request and of the data centre."""
    return {**client.headers, "CF-Ray": "230b030023ae2822-SJC"}


def _datadog_ids(trace: str) -> dict[str, str]:
    return {
        "x-datadog-trace-id": str(int(trace[16:], 16)),
        "x-datadog-parent-id": str(int(SPAN, 16)),
        "x-datadog-sampling-priority": "1",
        "x-datadog-tags": f"_dd.p.tid={trace[:16]}",
    }


def datadog(client: Client) -> dict[str, str]:
    """A service under ddtrace with its default styles, `datadog,tracecontext,baggage`: it continues W3C."""
    trace = client.trace_id if client.kind == W3C else TRACE
    return {"traceparent": f"00-{trace}-{SPAN}-01", **_datadog_ids(trace)}


def datadog_alone(client: Client) -> dict[str, str]:
    """A service under ddtrace that writes its own style alone."""
    return _datadog_ids(TRACE)


def linkerd(client: Client) -> dict[str, str]:
    """linkerd2-proxy, `trace-context/src/propagation.rs`: W3C is tried first, and what is found gets a new span."""
    sent = client.headers
    if client.kind == W3C:
        return {"traceparent": sent["traceparent"].replace(client.span_id, SPAN)}
    return {**sent, "X-B3-SpanId": SPAN} if client.kind == B3_MULTI else sent


@dataclass(frozen=True)
class Cloud:
    """A row of the page.

    Attributes:
        title: Its name on the page.
        forward: The headers that arrive at the service.
        setting: The variables of the service.
        exports: Whether its spans are in the same back end.
    """

    title: str
    forward: Callable[[Client], dict[str, str]]
    setting: Mapping[str, str] = field(default_factory=dict)
    exports: bool = False

    @property
    def shown(self) -> str:
        """The setting as the page shows it."""
        pairs = [f"`{name}={value}`" for name, value in self.setting.items()]
        return ", ".join(pairs) or "the default"


W3C_FIRST = {"OTEL_PROPAGATORS": "tracecontext,b3,baggage"}
UNTRUSTED = {"ECO2_TRACING_TRUST_INBOUND": "false"}
CLOUDS = (
    Cloud("Linkerd", linkerd, {}, exports=True),
    Cloud("Linkerd", linkerd, W3C_FIRST, exports=True),
    Cloud("AWS ALB", amazon),
    Cloud("AWS ALB", amazon, UNTRUSTED),
    Cloud("AWS ALB", amazon, {"OTEL_PROPAGATORS": "xray,b3,tracecontext,baggage"}),
    Cloud("Google", google),
    Cloud("Google", google, W3C_FIRST),
    Cloud("Azure Front Door", azure),
    Cloud("Azure Front Door", azure, UNTRUSTED),
    Cloud("Cloudflare", cloudflare),
    Cloud("Cloudflare", cloudflare, UNTRUSTED),
    Cloud("Datadog", datadog),
    Cloud("Datadog", datadog, W3C_FIRST),
    Cloud("Datadog without W3C", datadog_alone, W3C_FIRST),
)
