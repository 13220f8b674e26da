"""`record_metric`: one measurement, without creating an instrument first."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

from eco2_tracing._guard import guarded
from eco2_tracing._settings import report_arguments, unusable
from eco2_tracing.metrics._attributes import masked

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter
    from opentelemetry.util.types import AttributeValue

Kind = Literal["counter", "histogram", "gauge"]
_Record = Callable[[float, Any], None]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_./-]{0,254}")
_METHODS = {"counter": "add", "histogram": "record", "gauge": "set"}
_MOST_INSTRUMENTS = 1000


class _Recording:
    """The meter that measurements are recorded with.

    Attributes:
        meter: Creates the instruments; ``None`` while metrics are off.
    """

    __slots__ = ("_instruments", "meter")

    def __init__(self) -> None:
        self.use(None)

    def use(self, meter: Meter | None) -> None:
        """Record with this meter, or not at all."""
        self.meter = meter
        self._instruments: dict[tuple[str, str, str], _Record] = {}

    def instrument(self, meter: Meter, name: str, kind: str, unit: str) -> _Record | None:
        """Return the function that records; ``None`` if there are too many instruments."""
        key = (name, kind, unit)
        found = self._instruments.get(key)
        if found is None and len(self._instruments) < _MOST_INSTRUMENTS:
            created = getattr(meter, f"create_{kind}")(name, unit)
            found = self._instruments[key] = getattr(created, _METHODS[kind])
        return found


recording = _Recording()


def record_metric(
    name: str,
    value: float,
    attributes: Mapping[str, AttributeValue] | None = None,
    *,
    kind: Kind = "counter",
    unit: str = "",
) -> None:
    """Record one measurement of the application. Does nothing while metrics are off, and never raises.

    Args:
        name: Name of the metric, such as ``orders.created``. Use few different names, without ids.
        value: For a counter, what is added (0 or more); for a histogram, what is measured; for a gauge, the present
            value.
        attributes: What the measurement is about, with few different values. Secrets are masked.
        kind: ``counter``, ``histogram`` or ``gauge``; always the same for one name.
        unit: Unit in UCUM, such as ``s`` or ``{order}``; always the same for one name.

    Examples:
        >>> record_metric("orders.created", 1, {"shop": "seoul"}, unit="{order}")
        >>> record_metric("basket.size", 3, kind="histogram")
    """
    meter = recording.meter
    if meter is None:
        return
    with guarded("recording a measurement"):
        if not _is_usable(name, value, kind, unit):
            return
        record = recording.instrument(meter, name, kind, unit)
        if record is not None:
            record(value, masked(attributes))


def _is_usable(name: object, value: object, kind: object, unit: object) -> bool:
    """Return whether a measurement can be recorded; report once why not."""
    problem = None
    if type(name) is not str or _NAME.fullmatch(name) is None:
        takes = "a letter and then letters, digits and _ . / -, such as 'orders.created'"
        problem = unusable("record_metric", "name", name, takes, "nothing")
    elif type(kind) is not str or kind not in _METHODS:
        problem = unusable("record_metric", "kind", kind, "'counter', 'histogram' or 'gauge'", "nothing")
    elif type(value) not in (int, float) or not isfinite(value):  # type: ignore[arg-type] # a number
        problem = unusable("record_metric", "value", value, "a finite number", "nothing")
    elif kind == "counter" and value < 0:  # type: ignore[operator] # a number
        takes = "0 or more for a counter; kind='gauge' takes any number"
        problem = unusable("record_metric", "value", value, takes, "nothing")
    elif type(unit) is not str or len(unit) > 63 or not unit.isascii():
        problem = unusable("record_metric", "unit", unit, "a unit of at most 63 ASCII characters", "nothing")
    if problem is None:
        return True
    report_arguments(problem)
    return False
