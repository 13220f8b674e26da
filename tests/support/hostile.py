"""Objects that raise, never end or hide their class when they are read."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

PRINTING = ("__str__", "__repr__", "__format__")
SIZE = ("__bool__", "__len__", "__iter__")
EQUALITY = ("__eq__", "__hash__")
READING = ("__iter__", "__getitem__", "get", "items", "keys", "values")
EVERYTHING = (
    *PRINTING, *SIZE, *EQUALITY, *READING, "__contains__", "__float__", "__gt__", "__index__", "__int__", "__lt__",
    "__setattr__", "encode",
)  # fmt: skip


def raising(name: str, error: type[BaseException] | BaseException) -> Callable[..., None]:
    """A method that raises; an exception class is given the method's name as its message."""

    def method(*_arguments: object) -> None:
        raise error(f"{name} was called") if isinstance(error, type) else error

    return method


def raises(*names: str, error: type[BaseException] | BaseException = RuntimeError) -> Callable[[type], type]:
    """A class decorator that replaces these methods by ones that raise."""

    def decorate(cls: type) -> type:
        for name in names:
            setattr(cls, name, raising(name, error))
        return cls

    return decorate


# Values that raise RuntimeError -------------------------------------------------------------------


@raises(*PRINTING, *SIZE)
class Unreadable:
    """An object that can be hashed and compared, but neither printed nor iterated."""


@raises(*EQUALITY)
class Unhashable(Unreadable):
    """An object that cannot be hashed or compared either."""


@raises(*PRINTING, *SIZE, "__mod__")
class UnreadableText(str):
    """A `str` that cannot be printed or measured."""

    __slots__ = ()


@raises(*PRINTING, "__bool__", "__index__")
class UnreadableNumber(int):
    """An `int` that cannot be printed, compared or converted."""

    __eq__ = raising("__eq__", RuntimeError)
    __hash__ = int.__hash__


@raises("__iter__")
class UnreadableList(list):
    """A `list` that cannot be iterated."""


@raises(*READING)
class UnreadableMapping(dict):
    """A `dict` that cannot be read."""


@raises(*PRINTING)
class UnreadableError(Exception):
    """An exception that cannot be printed."""

    __notes__ = 5


class FrozenError(Exception):
    """An exception that takes no attributes."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


class _Nameless(type):
    """The class of classes without a module name."""

    @property
    def __module__(cls) -> str:
        raise RuntimeError


class NamelessError(Exception, metaclass=_Nameless):
    """An exception whose class has no module name."""


# Values that raise SystemExit ---------------------------------------------------------------------


@raises(*PRINTING, *READING, "__len__", error=SystemExit)
class ExitingMapping(dict):
    """A `dict` that ends the process when it is read or asked for its class."""

    __class__ = property(raising("__class__", SystemExit))


@raises(*PRINTING, error=SystemExit)
class ExitingError(Exception):
    """An exception that ends the process when it is printed."""


class ClasslessError(Exception):
    """An exception that ends the process when it is asked for its class."""

    __class__ = property(raising("__class__", SystemExit))


def of_every_kind(error: BaseException) -> list[object]:
    """Instances of each built-in type that raise `error` whatever is asked of them."""
    methods = {name: raising(name, error) for name in EVERYTHING}
    hidden = property(raising("__class__", error))
    kinds = (str, int, float, bytes, list, tuple, dict, object)
    values = [type("Hostile", (kind,), methods | {"__class__": hidden})() for kind in kinds]
    metaclass = type("HostileType", (type,), {"__name__": hidden, "__module__": hidden})
    return [*values, metaclass("X", (), {})()]


# Values without an end ----------------------------------------------------------------------------


class EndlessSequence(Sequence):
    """A sequence of length 3 whose iteration never ends."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> int:
        return index


class EndlessMapping(Mapping):
    """A mapping of length 3 whose iteration never ends."""

    __len__, __getitem__ = EndlessSequence.__len__, EndlessSequence.__getitem__

    def __iter__(self) -> itertools.count:
        return map(str, itertools.count())


class EndlessDict(dict):
    """A `dict` whose items are repeated without end."""

    def items(self) -> itertools.cycle:
        """The items, again and again."""
        return itertools.cycle(super().items())
