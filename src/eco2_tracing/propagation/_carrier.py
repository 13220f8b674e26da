"""Carriers of the OpenTelemetry interface, as header pairs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.propagators.textmap import CarrierT, Getter

Pairs = list[tuple[bytes, bytes]]


def pairs_of(carrier: CarrierT, getter: Getter[CarrierT], wanted: Iterable[bytes] | None) -> Pairs:
    """Read a carrier through its getter.

    Args:
        carrier: Any carrier.
        getter: Reads it; names that it spells in another case are found by its ``keys``.
        wanted: Lower-case names to read; ``None`` for all that there are.

    Returns:
        Lower-case names and values, the values of a name in order.
    """
    spelled = {key.lower(): key for key in getter.keys(carrier)}
    names = list(spelled) if wanted is None else [name.decode("ascii") for name in wanted]
    return [
        (name.encode("utf-8", "surrogatepass"), value)
        for name in names
        for value in _values(getter.get(carrier, spelled.get(name, name)))
    ]


def _values(values: list[str] | str | None) -> Iterator[bytes]:
    """Encode values so that none that is not ASCII can pass for one that is."""
    for value in [values] if isinstance(values, str) else values or ():
        yield value.encode("utf-8", "surrogatepass")
