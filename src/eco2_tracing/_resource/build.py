"""Builds the resource.

Precedence, highest first: settings (which hold the environment), arguments, detected attributes. `Resource.create` is
not used: with it arguments override the environment, which it reads again.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.version import __version__ as _sdk_version

from eco2_tracing._guard import attempt
from eco2_tracing._resource.detect import container_facts, kubernetes_facts, process_facts, process_ids

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

    from eco2_tracing._redaction import Redactor

_INSTANCE = "service.instance.id"
_ENVIRONMENTS = ("deployment.environment.name", "deployment.environment")
_PROC = Path("/proc")


class ServiceSettings(Protocol):
    """The settings that a resource is built from."""

    service_name: str | None
    service_version: str | None
    environment: str | None
    resource_attributes: Mapping[str, str]


class _InstanceResource(Resource):
    """A resource with a random instance id, which a fork replaces."""


def build_resource(
    settings: ServiceSettings,
    extra: Mapping[str, AttributeValue] | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    proc: Path = _PROC,
    redactor: Redactor | None = None,
) -> Resource:
    """Return the resource of this process.

    It has a ``service.name`` (``unknown_service:<executable>`` where none is set) and a ``service.instance.id``
    (random where none is set).

    Args:
        settings: The service and ``OTEL_RESOURCE_ATTRIBUTES``, which override everything else.
        extra: Attributes from arguments; they override detected ones.
        environ: The environment with the variables of the downward API.
        proc: Mount point of procfs.
        redactor: Masks secrets, because the attributes are exported with each span.
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
    """Return the attributes that can be read, so that a bad one does not prevent the others."""

    def can_be_read(key: str, value: AttributeValue) -> bool:
        what = f"reading the resource attribute {key}, which is left out"
        return attempt(what, Resource, {key: value}, default=None) is not None

    return {key: value for key, value in extra.items() if can_be_read(key, value)}


def after_fork_resource(resource: Resource) -> Resource:
    """Return the resource of a child process: with its own process ids and instance id.

    Args:
        resource: The parent's resource. An instance id that was set is kept.
    """
    own: dict[str, AttributeValue] = {**process_ids()}
    if isinstance(resource, _InstanceResource):
        own[_INSTANCE] = str(uuid.uuid4())
    return type(resource)({**resource.attributes, **own}, resource.schema_url)


def _name_service(attributes: dict[str, AttributeValue], settings: ServiceSettings) -> None:
    """Set name, version and environment, the last under both of its names."""
    executable = attributes.get("process.executable.name")
    unknown = f"unknown_service:{executable}" if executable else "unknown_service"
    attributes["service.name"] = settings.service_name or attributes.get("service.name") or unknown
    if settings.service_version:
        attributes["service.version"] = settings.service_version
    newer, older = _ENVIRONMENTS
    environment = settings.environment or attributes.get(newer) or attributes.get(older)
    if environment:
        attributes[newer] = attributes[older] = environment
