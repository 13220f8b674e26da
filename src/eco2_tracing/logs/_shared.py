"""What every line needs and the rest of the library sets: the service's name, the redactor."""

from __future__ import annotations

from collections.abc import Mapping

from eco2_tracing._native import RLock
from eco2_tracing._redaction import Redactor


class Shared:
    """The one global of this room: read when a line is written, so that calls have no order.

    Args:
        lock: Guards the writers; readers take one attribute, which is replaced whole.

    Attributes:
        redactor: Masks secrets in every line.
        service: The `service.*` fields, by ECS name. A new object after each change.
    """

    __slots__ = ("_arguments", "_lock", "_set", "redactor", "service")

    def __init__(self, lock: RLock) -> None:
        self._lock = lock
        self._arguments: dict[str, str] = {}
        self._set: dict[str, str] = {}
        self.redactor = Redactor()
        self.service: Mapping[str, str] = {}

    def set_service(self, fields: Mapping[str, str | None], *, final: bool) -> None:
        """Take over the fields that are given; final ones win over others, whichever came first."""
        with self._lock:
            target = self._set if final else self._arguments
            # A credential may stand in the name of the service by mistake.
            target.update({key: self.redactor.text(value) for key, value in fields.items() if value})
            self.service = {**self._arguments, **self._set}

    def forget(self) -> None:
        """Go back to no service name and the built-in secrets."""
        with self._lock:
            self._arguments, self._set, self.service = {}, {}, {}
            self.redactor = Redactor()


shared = Shared(RLock())


def set_service(
    name: str | None = None,
    version: str | None = None,
    environment: str | None = None,
    node_name: str | None = None,
) -> None:
    """Name the service on every line from now on; ``None`` leaves a field as it was.

    Args:
        name: `service.name`.
        version: `service.version`.
        environment: `service.environment`.
        node_name: `service.node.name`, such as the pod.
    """
    shared.set_service(ecs_service(name, version, environment, node_name), final=True)


def set_redactor(redactor: Redactor) -> None:
    """Mask with this redactor from the next line on.

    Args:
        redactor: One that knows the operator's additional keys.
    """
    shared.redactor = redactor
    shared.service = {**shared.service}  # formatters begin anew, with names of loggers that it masks


def ecs_service(
    name: str | None, version: str | None, environment: str | None, node_name: str | None = None
) -> dict[str, str | None]:
    """Give the service's fields their ECS names, in ECS order."""
    return {
        "service.name": name,
        "service.version": version,
        "service.environment": environment,
        "service.node.name": node_name,
    }
