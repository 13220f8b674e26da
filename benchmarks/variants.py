"""The compared variants, in the order of the tables; `UNTRACED` is what all ratios refer to."""

from __future__ import annotations

from benchmarks.peers import Variant

UNTRACED = "untraced"
STOCK = ("stock, unsampled", "stock, sampled")


def _both(name: str, peer: str, option: str = "") -> list[Variant]:
    """A configuration with unsampled and with sampled requests."""
    return [
        Variant(f"{name}, unsampled", peer, option),
        Variant(f"{name}, sampled", peer, option, sampled=True),
    ]


_ALL = [
    Variant(UNTRACED, "untraced"),
    Variant("ours, unsampled, errors not kept", "ours", "errors not kept"),
    *_both("ours", "ours"),
    Variant("ours, sampled, no exporter", "ours", "no exporter", sampled=True),
    *_both("ours with sizes and rows", "ours", "sizes and rows"),
    *_both("ours contrib", "ours", "contrib"),
    *_both("ours with metrics", "ours", "metrics"),
    *_both("stock", "stock"),
    *_both("stock without send/receive", "stock", "no send/receive"),
    *_both("stock with metrics", "stock", "metrics"),
    *_both("FastAPI native", "native"),
    *_both("logfire", "logfire"),
    *_both("ddtrace", "ddtrace"),
    *_both("elastic-apm", "elastic_apm"),
    *_both("sentry-sdk", "sentry"),
]
VARIANTS = {variant.name: variant for variant in _ALL}


def chosen(words: list[str] | None) -> list[Variant]:
    """Give the variants whose name contains one of the words, and the untraced one; all without words."""
    if not words:
        return _ALL
    return [one for one in _ALL if one.name == UNTRACED or any(word in one.name for word in words)]
