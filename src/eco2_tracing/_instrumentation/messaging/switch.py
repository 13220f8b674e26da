"""Ours in place of contrib's, behind the switch of contrib's instrumentors.

So nobody makes a second span: who asks contrib's instrumentor is told that it is on, and where somebody else
had switched it on before, ours stays off.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from opentelemetry.instrumentation.utils import unwrap
from wrapt import wrap_function_wrapper

Hook = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]


class Patches:
    """Methods of a library that ours stand around, and what else is to be undone."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []

    @property
    def are_on(self) -> bool:
        """Whether there is anything to undo."""
        return bool(self._undo)

    def wrap(self, owner: Any, name: str, hook: Hook) -> None:
        """Put a hook around a method.

        Args:
            owner: Its class.
            name: Its name.
            hook: Gets the method, the instance, the arguments and the keyword arguments.
        """
        wrap_function_wrapper(owner, name, hook)
        self.later(lambda: unwrap(owner, name))

    def later(self, undo: Callable[[], object]) -> None:
        """Remember what undoes something."""
        self._undo.append(undo)

    def undo(self) -> None:
        """Leave the library as it was."""
        while self._undo:
            self._undo.pop()()


class Replacement:
    """Our hooks of one library.

    Args:
        module: Where they are; its ``instrument`` is called with ``Patches``. It loads the library.
        beside: Whether contrib's stay on, too.
    """

    def __init__(self, module: str, *, beside: bool = False) -> None:
        self._module = module
        self._beside = beside
        self._patches = Patches()

    def prepare(self) -> None:
        """Nothing comes before contrib's part."""

    def begin(self, instrumentor: Any) -> None:
        """Put ours on, in place of contrib's where they do not stand beside them.

        Args:
            instrumentor: Contrib's, which stays on by its own account.
        """
        if not self._beside:
            instrumentor._uninstrument()
        try:
            import_module(f"{__package__}.{self._module}").instrument(self._patches)
        except BaseException:
            self._patches.undo()
            raise

    def end(self) -> None:
        """Take ours off."""
        self._patches.undo()


MESSAGING = {
    "kafka": Replacement("_kafka_python"),
    "aiokafka": Replacement("_aiokafka"),
    "confluent_kafka": Replacement("_confluent"),
    "pika": Replacement("_pika"),
    "aio-pika": Replacement("_aio_pika"),
    "celery": Replacement("_celery", beside=True),
}
"""Which ones, by the name of their instrumentation."""
