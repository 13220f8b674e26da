"""Carriers of the OpenTelemetry interface as header pairs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.propagators.textmap import CarrierT, Getter

Pairs = list[tuple[bytes, bytes]]
"""Names and values of headers."""


def pairs_of(
    carrier: CarrierT, getter: Getter[CarrierT], wanted: Iterable[tuple[str, bytes]] | None
) -> Pairs:
    """Return the headers of a carrier: lower-case names and values, the values of a name in order.

    Args:
        carrier: Any carrier.
        getter: Reads the carrier. Its ``keys`` are needed for names that are not in lower case.
        wanted: The lower-case names to read, as text and as bytes; ``None`` for all.
    """
    spelled = {key.lower(): key for key in getter.keys(carrier)}
    if wanted is None:
        wanted = [(name, name.encode("utf-8", "surrogatepass")) for name in spelled]
    return [
        (raw_name, value)
        for name, raw_name in wanted
        for value in _values(getter.get(carrier, spelled.get(name, name)))
    ]


def _values(values: list[str] | str | None) -> Iterator[bytes]:
    """Encode values as UTF-8, so that a character beyond ASCII never becomes an ASCII byte."""
    for value in [values] if isinstance(values, str) else values or ():
        yield value.encode("utf-8", "surrogatepass")
