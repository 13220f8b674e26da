"""Behind real proxies: which trace the service continues, with and without trace headers of the client."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import count
from typing import NamedTuple

import httpx
import pytest

from eco2_tracing.testing import OtlpReceiver, ReceivedSpan
from tests.proxies.clients import CLIENTS, DENY, JOINED, NOTHING, ONE, TORN, Client, Seen, outcome
from tests.proxies.fronts import DEFAULT, FRONTS, PAGE, W3C_FIRST, Front, dotenv
from tests.support.sections import row

NUMBERS = count(1)
TABLE = "What a client's own headers do"
FIRST_TABLE = PAGE.first_rows
TITLE = re.compile(r"\[([^]]*)]\([^)]*\)(, \w+)?.*")


class Sent(NamedTuple):
    """A request and what became of it.

    Attributes:
        client: What the client sent.
        seen: The context in the service.
        spans: The spans of the proxy.
    """

    client: Client
    seen: Seen
    spans: list[ReceivedSpan]

    @property
    def outcome(self) -> str:
        """In the page's words."""
        return outcome(self.client, self.seen, self.spans)


class Behind(NamedTuple):
    """A proxy and its requests.

    Attributes:
        front: The proxy.
        by_propagators: The requests, by the service's `OTEL_PROPAGATORS`.
        tree: The spans of the first request with the recommended setting, as the page shows them.
    """

    front: Front
    by_propagators: Mapping[str, list[Sent]]
    tree: str


def path(client: Client) -> str:
    """The path of a request, which is on the proxy's spans."""
    return f"/items/{client.number}"


def has_path(span: ReceivedSpan, client: Client) -> bool:
    """Whether a span belongs to the request of a client."""
    return any(str(value).endswith(path(client)) for value in span.attributes.values())


def send(url: str, clients: list[Client]) -> list[Seen]:
    """Send a request for each client."""
    with httpx.Client(base_url=url, trust_env=False, timeout=20) as http:
        return [
            Seen(**http.get(path(client), headers=client.headers).raise_for_status().json())
            for client in clients
        ]


def spans_of(client: Client, spans: tuple[ReceivedSpan, ...], service: str) -> list[ReceivedSpan]:
    """The proxy's spans of a request."""
    proxys = [span for span in spans if span.service == service]
    traces = {span.trace_id for span in proxys if has_path(span, client)}
    return [span for span in proxys if span.trace_id in traces]


def requests(front: Front, upstream: str, receiver: OtlpReceiver) -> list[Sent]:
    """Send requests of every client, sampled and not, through a proxy."""
    clients = [Client(kind, next(NUMBERS), sampled) for sampled in (True, False) for kind in CLIENTS]
    with front.run(upstream, receiver) as url:
        seen = send(url, clients)
        recorded = [client for client, found in zip(clients, seen, strict=True) if found.sampled]
        if front.exports:  # a proxy records what the service behind it records
            receiver.wait_for(
                lambda spans: all(spans_of(client, spans, front.exports) for client in recorded),
                timeout_s=20,
            )
    return [
        Sent(client, found, spans_of(client, receiver.spans, front.exports))
        for client, found in zip(clients, seen, strict=True)
    ]


def tree(sent: Sent, receiver: OtlpReceiver) -> str:
    """The spans of a request: service and name, each below its parent."""
    receiver.wait_for(lambda spans: any(span.span_id == sent.seen.span for span in spans))
    trace = receiver.trace(sent.seen.trace)
    lines = [
        f"{'   ' * (depth - 1)}{'└─ ' if depth else ''}{span.service}  {span.name}"
        for depth, span in trace.walk()
    ]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module", params=FRONTS, ids=lambda front: front.title)
def behind(request: pytest.FixtureRequest, service, receiver) -> Behind:
    """A proxy, and what became of the requests with the default setting and with the recommended one."""
    front: Front = request.param
    settings = dict.fromkeys((DEFAULT, front.recommended))
    found = {each: requests(front, service(each), receiver) for each in settings}
    shown = tree(found[front.recommended][0], receiver)
    receiver.clear()
    return Behind(front, found, shown)


def test_table_has_what_the_service_continued(behind):
    """A row for each setting: the trace of a request without trace headers, and of each client with headers."""
    shown = [cells for cells in PAGE.rows(TABLE) if cells[0] == behind.front.title]
    found = [
        [behind.front.title, f"`{setting}`", *(sent.outcome for sent in requests if sent.client.sampled)]
        for setting, requests in behind.by_propagators.items()
    ]
    assert "\n".join(map(row, shown)) == "\n".join(map(row, found))


def test_recommended_setting_tears_no_trace(behind):
    """A request without trace headers is recorded, and no client separates the service from the proxy."""
    sent = behind.by_propagators[behind.front.recommended]
    assert TORN not in {request.outcome for request in sent}
    first, *_ = sent
    assert first.outcome == ONE if behind.front.exports else first.seen.sampled


def test_decision_is_that_of_the_continued_context(behind):
    """A client's decision counts only where the client's trace is continued."""
    for requests in behind.by_propagators.values():
        half = len(requests) // 2
        for sampled, unsampled in zip(requests[:half], requests[half:], strict=True):
            kind = sampled.client.kind
            if kind in {NOTHING, DENY}:
                assert sampled.seen.sampled == unsampled.seen.sampled
                continue
            follows = sampled.outcome in {JOINED, TORN}
            assert unsampled.seen.sampled is not follows, kind
            assert (unsampled.seen.trace == unsampled.client.trace_id) == follows, kind


def test_page_shows_the_tree(behind):
    """The section of a proxy that exports spans has the tree of a request without trace headers."""
    assert behind.tree in PAGE.section(behind.front.section) or not behind.front.exports
    assert behind.tree.endswith("shop  GET /items/{item}\n")


def test_first_table_has_what_it_sends_and_what_to_set(behind):
    """The trace headers of a request whose client sends none, and the recommended setting."""
    found = [cells for cells in FIRST_TABLE if re.sub(TITLE, r"\1\2", cells[0]) == behind.front.title]
    if not found:  # a row for each program, not for each of its settings
        assert {"with", "that"} & set(behind.front.title.split())
        return
    ((_, sends, setting, _),) = found
    (first, *_) = behind.by_propagators[DEFAULT]
    formats = {"x-b3-traceid": "`X-B3-*`", "traceparent": "`traceparent`"}
    words = [formats[name] for name in first.seen.received if name in formats]
    assert sends == (", ".join(words) or "what the client sends")
    assert setting == (
        "nothing" if behind.front.recommended == DEFAULT else f"`OTEL_PROPAGATORS={W3C_FIRST}`"
    )


def test_page_shows_the_setting(behind):
    """The section has the recommended value of `OTEL_PROPAGATORS`, unless it is the default."""
    shown = [dotenv(block).get("OTEL_PROPAGATORS") for block in PAGE.blocks("dotenv", behind.front.section)]
    assert behind.front.recommended == DEFAULT or behind.front.recommended in shown


def test_request_ids(behind):
    """Envoy and HAProxy give each request an `x-request-id`, the others none."""
    for requests in behind.by_propagators.values():
        ids = {sent.seen.request_id for sent in requests} - {None}
        assert len(ids) == len(requests) * (behind.front.section in {"HAProxy", "Istio or Envoy"})
