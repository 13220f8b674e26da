"""What every line needs and other packages set: the service's name and the redactor."""

from __future__ import annotations

from collections.abc import Mapping

from eco2_tracing._native import RLock
from eco2_tracing._redaction import Redactor

_SERVICE = ("service.name", "service.version", "service.environment", "service.node.name")


class Shared:
    """The state that all formatters read when they write a line, so that calls may come in any order.

    The lock guards changes. Readers need none, because attributes are replaced as a whole.
    """

    __slots__ = ("_arguments", "_final", "_lock", "redactor", "service")

    def __init__(self, lock: RLock) -> None:
        self._lock = lock
        self._arguments: dict[str, str] = {}
        self._final: dict[str, str] = {}
        self.redactor = Redactor()
        # The `service.*` fields by ECS name, in ECS order; a new object after each change.
        self.service: Mapping[str, str] = {}

    def set_service(
        self,
        name: str | None = None,
        version: str | None = None,
        environment: str | None = None,
        node_name: str | None = None,
        *,
        final: bool = True,
    ) -> None:
        """Set the service of every line from now on; ``None`` leaves a field as it is.

        Final fields take precedence over others, whichever are set first. The node is the pod, for example.
        """
        given = zip(_SERVICE, (name, version, environment, node_name), strict=True)
        with self._lock:
            target = self._final if final else self._arguments
            # A service's name may be a credential by mistake.
            target.update({key: self.redactor.text(value) for key, value in given if value})
            self.service = {**self._arguments, **self._final}

    def set_redactor(self, redactor: Redactor) -> None:
        """Mask with this redactor from the next line on."""
        self.redactor = redactor
        self.service = {**self.service}  # a new object: formatters drop their cached names of loggers

    def forget(self) -> None:
        """Restore the initial state: no service name, and the built-in secrets."""
        with self._lock:
            self._arguments, self._final, self.service = {}, {}, {}
            self.redactor = Redactor()


shared = Shared(RLock())
set_service = shared.set_service
set_redactor = shared.set_redactor
