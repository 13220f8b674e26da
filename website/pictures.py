"""The pictures of `docs/images/`, in light and dark: the path of a request, the trace of a login, what is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

WIDTH = 760
STYLE = """<style>
text { font: 13px system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; fill: #1f2933 }
.t { font-weight: 600 } .s { font-size: 12px; fill: #52606d } .m { text-anchor: middle } .e { text-anchor: end }
.box { fill: #ffffff; stroke: #9aa5b1 } .area { fill: #f1f5f9; stroke: #cbd2d9 }
.line { stroke: #616e7c; fill: none; stroke-width: 1.4 } .tip { fill: #616e7c } .grid { stroke: #cbd2d9 }
.proxy { fill: #9fb3c8 } .service { fill: #0b8a7d } .call { fill: #5bbfb0 } .data { fill: #e08e0b }
.dropped { fill: #d5dbe1 } .head { fill: #0b8a7d } .failed { fill: #cf2230 } .slow { fill: #e08e0b }
.lost { fill: #ffffff; stroke: #cf2230 } .missed { fill: #ffffff; stroke: #e08e0b }
.row { stroke: #d5dbe1; stroke-width: 3.8; stroke-linecap: round; stroke-dasharray: 0 7 }
@media (prefers-color-scheme: dark) {
  text { fill: #e4e7eb } .s { fill: #a8b3bf } .box { fill: #2b3442; stroke: #697586 }
  .area { fill: #1e2530; stroke: #3e4c59 } .line { stroke: #9aa5b1 } .tip { fill: #9aa5b1 } .grid { stroke: #3e4c59 }
  .proxy { fill: #627d98 } .service { fill: #25b7a6 } .call { fill: #157f75 } .data { fill: #f0b429 }
  .dropped { fill: #3e4c59 } .head { fill: #25b7a6 } .failed { fill: #ff6b6b } .slow { fill: #f0b429 }
  .lost { fill: #1e2129; stroke: #ff6b6b } .missed { fill: #1e2129; stroke: #f0b429 } .row { stroke: #3e4c59 }
}
</style>"""


def svg(title: str, height: int, parts: Iterator[str]) -> str:
    """One picture."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img">'
    )
    return "\n".join([head, f"<title>{title}</title>", STYLE, *parts, "</svg>\n"])


def text(x: float, y: float, words: str, kind: str = "") -> str:
    """A line of text."""
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{words}</text>'


def box(x: int, y: int, width: int, lines: str, *, height: int = 44) -> str:
    """A box with one or two lines, separated by a bar."""
    words = lines.split("|")
    first = y + height / 2 + 4.5 - 8 * (len(words) - 1)
    kinds = ("m t", "m s")
    made = [text(x + width / 2, first + 16 * at, each, kinds[min(at, 1)]) for at, each in enumerate(words)]
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" class="box"/>' + "".join(made)


def arrow(*points: tuple[int, int]) -> str:
    """An arrow along points; its last part is horizontal or vertical."""
    (x0, y0), (x, y) = points[-2:]
    dx, dy = (x > x0) - (x < x0), (y > y0) - (y < y0)
    path = " ".join(f"{a},{b}" for a, b in points)
    tip = f"{x},{y} {x - 7 * dx - 4 * dy},{y - 7 * dy - 4 * dx} {x - 7 * dx + 4 * dy},{y - 7 * dy + 4 * dx}"
    return f'<polyline points="{path}" class="line"/><polygon points="{tip}" class="tip"/>'


def request_path() -> str:
    """From the client through the mesh and the process to the back end."""

    def parts() -> Iterator[str]:
        yield box(20, 18, 100, "Client")
        yield arrow((120, 40), (168, 40))
        yield box(168, 18, 150, "Gateway|begins the trace")
        yield arrow((318, 40), (400, 40))
        yield text(359, 32, "B3, W3C", "m s")
        yield box(400, 18, 140, "Sidecar|adds its span")
        yield f'<rect x="20" y="98" width="{WIDTH - 40}" height="236" rx="8" class="area"/>'
        yield text(112, 121, "The process of your service", "t")
        yield arrow((470, 62), (470, 82), (96, 82), (96, 136))
        yield box(36, 136, 120, "Extract|trace headers")
        yield arrow((156, 158), (184, 158))
        yield box(184, 136, 130, "Head sampler|sampled, or not yet")
        yield arrow((314, 158), (342, 158))
        yield box(342, 136, 228, "Server span|handler, httpx and database spans")
        yield arrow((570, 158), (598, 158))
        yield box(598, 136, 126, "Request ends|ok, error or slow")
        yield arrow((661, 180), (661, 214))
        yield box(560, 214, 164, "Export it?|sampled, failed or slow")
        yield arrow((560, 236), (468, 236))
        yield text(514, 229, "yes", "m s")
        yield arrow((642, 258), (642, 300))
        yield text(650, 284, "no", "s")
        yield text(642, 318, "discarded", "m s")
        yield box(342, 214, 126, "Redaction|masks secrets")
        yield arrow((342, 236), (314, 236))
        yield box(184, 214, 130, "Queue|bounded, batched")
        yield arrow((250, 258), (250, 372))
        yield text(258, 352, "OTLP", "s")
        yield box(160, 372, 180, "Collector|Jaeger, Tempo, a vendor")
        yield arrow((530, 136), (530, 110), (650, 110), (650, 62))
        yield text(658, 84, "log lines", "s")
        yield box(580, 18, 160, "stdout|ECS JSON with trace.id")

    return svg("The path of a request", 434, parts())


# Name, kind, depth, start and duration in milliseconds: docs/mesh.md has the trace.
LOGIN = (
    ("istio-ingressgateway", "proxy", 0, 0.0, 14.3),
    ("its attempt", "proxy", 1, 0.3, 13.8),
    ("auth-api sidecar, inbound", "proxy", 2, 1.2, 12.0),
    ("auth-api POST /api/v1/auth/login", "service", 3, 2.0, 10.4),
    ("httpx GET", "call", 4, 2.6, 5.8),
    ("auth-api sidecar, outbound", "proxy", 5, 4.0, 3.1),
    ("character-api sidecar, inbound", "proxy", 6, 4.6, 2.0),
    ("character-api GET …/{user_id}", "service", 7, 5.2, 0.9),
    ("INSERT, asyncpg", "data", 4, 8.8, 1.5),
    ("SET, redis", "data", 4, 10.8, 0.7),
)


def login() -> str:
    """The spans of one login behind a mesh."""
    left, scale, row = 330, 26.0, 27

    def parts() -> Iterator[str]:
        legend = (
            ("proxy", "Envoy"),
            ("service", "your services"),
            ("call", "outgoing call"),
            ("data", "database, cache"),
        )
        for at, (kind, name) in enumerate(legend):
            yield f'<rect x="{20 + 150 * at}" y="14" width="13" height="13" rx="3" class="{kind}"/>'
            yield text(40 + 150 * at, 25, name, "s")
        bottom = 50 + row * len(LOGIN)
        for ms in range(0, 15, 2):
            x = left + ms * scale
            yield f'<line x1="{x:g}" y1="46" x2="{x:g}" y2="{bottom}" class="grid"/>'
            yield text(x, bottom + 16, f"{ms} ms" if ms else "0", "m s")
        for at, (name, kind, depth, start, duration) in enumerate(LOGIN):
            y = 50 + row * at
            yield text(20 + 11 * depth, y + 17, name)
            yield (
                f'<rect x="{left + start * scale:g}" y="{y + 5}" width="{duration * scale:g}" height="16" rx="3" '
                f'class="{kind}"/>'
            )

    return svg("The trace of a login behind an Istio mesh", 346, parts())


def dot(x: float, y: int, kind: str) -> str:
    """A request."""
    radius = {"lost": 2.6, "missed": 2.6, "dropped": 2.1}.get(kind, 3.2)
    return f'<circle cx="{x:.1f}" cy="{y}" r="{radius}" class="{kind}"/>'


FAILED, SLOW, DOTS, COLUMNS = 30, 4, 1000, 50


def kept() -> str:
    """A thousand requests at a sampling ratio of 1 %, with and without tail sampling."""
    random = Random(20)  # noqa: S311 - the same dots in each run
    places = list(range(DOTS))
    random.shuffle(places)
    failed, slow = set(places[:FAILED]), set(places[FAILED : FAILED + SLOW])
    head = set(places[-10:])

    def head_only(at: int) -> str:
        kind = "lost" if at in failed else "missed" if at in slow else "dropped"
        return "head" if at in head else kind

    def with_tail(at: int) -> str:
        kind = "failed" if at in failed else "slow" if at in slow else "dropped"
        return "head" if at in head else kind

    def panel(left: int, title: str, summary: str, kind: Callable[[int], str]) -> Iterator[str]:
        yield text(left, 26, title, "t")
        yield text(left, 45, summary, "s")
        for y in range(64, 64 + 9 * DOTS // COLUMNS, 9):
            yield f'<path d="M{left + 3.5} {y}h{7 * (COLUMNS - 1)}" class="row"/>'
        for at in range(DOTS):
            if (found := kind(at)) != "dropped":
                x, y = left + 3.5 + at % COLUMNS * 7, 64 + at // COLUMNS * 9
                yield dot(x, y, found)

    def parts() -> Iterator[str]:
        yield from panel(20, "1 % head sampling", "10 of 1 000 requests, failed ones by chance", head_only)
        yield from panel(
            400, "eco2-tracing at 1 %", "the same 10, every failed and every slow request", with_tail
        )
        names = (
            ("head", "sampled by the head"),
            ("failed", "failed, kept"),
            ("slow", "slow, kept"),
            ("lost", "failed, lost"),
            ("missed", "slow, lost"),
            ("dropped", "dropped"),
        )
        for (found, name), x in zip(names, (24, 182, 300, 406, 524, 628), strict=True):
            yield dot(x, 272, found)
            yield text(x + 9, 276, name, "s")

    return svg("What is kept of 1 000 requests at 1 % sampling", 292, parts())
