"""What every line needs and other packages set: the service's name and the redactor."""

from __future__ import annotations

from collections.abc import Mapping

from eco2_tracing._native import RLock
from eco2_tracing._redaction import Redactor


class Shared:
    """The state that all formatters read when they write a line, so that calls may come in any order.

    Args:
        lock: Guards changes. Readers need no lock, because attributes are replaced as a whole.

    Attributes:
        redactor: Masks secrets in every line.
        service: The `service.*` fields by ECS name; a new object after each change.
    """

    __slots__ = ("_arguments", "_final", "_lock", "redactor", "service")

    def __init__(self, lock: RLock) -> None:
        self._lock = lock
        self._arguments: dict[str, str] = {}
        self._final: dict[str, str] = {}
        self.redactor = Redactor()
        self.service: Mapping[str, str] = {}

    def set_service(self, fields: Mapping[str, str | None], *, final: bool) -> None:
        """Set the given fields. Final ones take precedence over others, whichever are set first."""
        with self._lock:
            target = self._final if final else self._arguments
            # A service's name may be a credential by mistake.
            target.update({key: self.redactor.text(value) for key, value in fields.items() if value})
            self.service = {**self._arguments, **self._final}

    def forget(self) -> None:
        """Restore the initial state: no service name, and the built-in secrets."""
        with self._lock:
            self._arguments, self._final, self.service = {}, {}, {}
            self.redactor = Redactor()


shared = Shared(RLock())


def set_service(
    name: str | None = None,
    version: str | None = None,
    environment: str | None = None,
    node_name: str | None = None,
) -> None:
    """Set the service of every line from now on; ``None`` leaves a field as it is.

    Args:
        name: `service.name`.
        version: `service.version`.
        environment: `service.environment`.
        node_name: `service.node.name`, such as the pod.
    """
    shared.set_service(ecs_service(name, version, environment, node_name), final=True)


def set_redactor(redactor: Redactor) -> None:
    """Mask with this redactor from the next line on."""
    shared.redactor = redactor
    shared.service = {**shared.service}  # a new object: formatters drop their cached names of loggers


def ecs_service(
    name: str | None, version: str | None, environment: str | None, node_name: str | None = None
) -> dict[str, str | None]:
    """Return the service's fields by ECS name, in ECS order."""
    return {
        "service.name": name,
        "service.version": version,
        "service.environment": environment,
        "service.node.name": node_name,
    }
