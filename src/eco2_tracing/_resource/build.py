"""Composes the resource.

Precedence, highest first: settings (which hold the environment), arguments, detected facts. `Resource.create` lets
arguments beat the environment, and reads the environment again, so it is not used.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.version import __version__ as _sdk_version

from eco2_tracing._guard import internal_failure
from eco2_tracing._resource.detect import container_facts, kubernetes_facts, process_facts, process_ids

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

    from eco2_tracing._redaction import Redactor

_INSTANCE = "service.instance.id"
_ENVIRONMENTS = ("deployment.environment.name", "deployment.environment")
_PROC = Path("/proc")


class ServiceFacts(Protocol):
    """The part of the settings that a resource is made of."""

    @property
    def service_name(self) -> str | None:
        """Name of the service, if any is known."""

    @property
    def service_version(self) -> str | None:
        """Version of the service, if any is known."""

    @property
    def environment(self) -> str | None:
        """Deployment environment, if any is known."""

    @property
    def resource_attributes(self) -> Mapping[str, str]:
        """``OTEL_RESOURCE_ATTRIBUTES``, decoded."""


class _InstanceResource(Resource):
    """A resource whose instance id was made here, so that a fork renews it."""


def build_resource(
    settings: ServiceFacts,
    extra: Mapping[str, AttributeValue] | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    proc: Path = _PROC,
    redactor: Redactor | None = None,
) -> Resource:
    """Make the resource of this process.

    Args:
        settings: Service facts and ``OTEL_RESOURCE_ATTRIBUTES``, which beat everything else.
        extra: Attributes from arguments; they beat detected facts.
        environ: Where the downward API's variables are.
        proc: Where procfs is mounted.
        redactor: Masks secrets: whoever reads spans reads these attributes.

    Returns:
        A resource with a ``service.name`` (``unknown_service:<executable>`` at worst) and a ``service.instance.id``,
        random unless given.
    """
    attributes: dict[str, AttributeValue] = {
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": _sdk_version,
        **process_facts(),
        **container_facts(proc, environ),
        **kubernetes_facts(environ),
        **_usable(extra or {}),
        **settings.resource_attributes,
    }
    _name_service(attributes, settings)
    if redactor is not None:
        attributes = cast("dict[str, AttributeValue] | None", redactor.attributes(attributes)) or attributes
    if attributes.get(_INSTANCE):
        return Resource(attributes)
    attributes[_INSTANCE] = str(uuid.uuid4())
    return _InstanceResource(attributes)


def _usable(extra: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    """Leave out what raises when it is read, so that one attribute does not cost the process its spans."""
    usable: dict[str, AttributeValue] = {}
    for key, value in extra.items():
        try:
            Resource({key: value})
        except Exception:  # noqa: BLE001 - objects of the application may raise anything
            internal_failure(f"reading the resource attribute {key}, which is left out")
        else:
            usable[key] = value
    return usable


def after_fork_resource(resource: Resource) -> Resource:
    """Return the resource as it is in a child process: its own ids of process and instance.

    Args:
        resource: The parent's. An instance id that was given to `build_resource` is kept.
    """
    own: dict[str, AttributeValue] = {**process_ids()}
    if isinstance(resource, _InstanceResource):
        own[_INSTANCE] = str(uuid.uuid4())
    return type(resource)({**resource.attributes, **own}, resource.schema_url)


def _name_service(attributes: dict[str, AttributeValue], settings: ServiceFacts) -> None:
    """Settle name, version and environment, the last under both of its names."""
    executable = attributes.get("process.executable.name")
    unknown = f"unknown_service:{executable}" if executable else "unknown_service"
    attributes["service.name"] = settings.service_name or attributes.get("service.name") or unknown
    if settings.service_version:
        attributes["service.version"] = settings.service_version
    newer, older = _ENVIRONMENTS
    environment = settings.environment or attributes.get(newer) or attributes.get(older)
    if environment:
        attributes[newer] = attributes[older] = environment
