"""The resource: attributes of service, process, host, pod and container, and their precedence."""

from __future__ import annotations

import os
import socket
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from opentelemetry.sdk.resources import Resource

from eco2_tracing._resource import after_fork_resource, build_resource
from tests.support.hostile import Unreadable


@dataclass
class Settings:
    """The settings that a resource is built from."""

    service_name: str | None = None
    service_version: str | None = None
    environment: str | None = None
    resource_attributes: dict[str, str] = field(default_factory=dict)


@pytest.fixture
def build(tmp_path):
    """Build a resource's attributes on a machine without containers, unless files are given."""

    def attributes(settings=None, extra=None, environ=None, **files):
        (tmp_path / "self").mkdir(exist_ok=True)
        for name, text in files.items():
            (tmp_path / "self" / name).write_text(text)
        resource = build_resource(settings or Settings(), extra, environ=environ or {}, proc=tmp_path)
        return resource.attributes

    return attributes


def test_process_facts(build):
    """The process is described, its arguments are not."""
    attributes = build()
    assert attributes["process.pid"] == os.getpid()
    assert attributes["process.runtime.name"] == sys.implementation.name
    assert attributes["process.executable.path"] == sys.executable
    assert attributes["host.name"] == socket.gethostname()
    assert attributes["telemetry.sdk.language"] == "python"
    assert not {"process.command_args", "process.command_line"} & set(attributes)


@pytest.mark.parametrize(("executable", "name"), [("/usr/bin/python3", ":python3"), (None, "")])
def test_unknown_service(build, monkeypatch, executable, name):
    """A service without a name is called after its executable, as specified."""
    monkeypatch.setattr(sys, "executable", executable)
    assert build()["service.name"] == f"unknown_service{name}"


def test_settings_beat_arguments_beat_facts(build):
    """The environment overrides arguments, which override detected attributes."""
    settings = Settings("named", "2", "prod", {"host.name": "operator", "team": "a"})
    extra = {
        "host.name": "argument",
        "service.name": "argument",
        "service.version": "argument",
        "deployment.environment": "argument",
        "process.runtime.name": "argument",
    }
    attributes = build(settings, extra)
    assert attributes["host.name"] == "operator"
    assert (attributes["service.name"], attributes["service.version"]) == ("named", "2")
    assert attributes["deployment.environment"] == attributes["deployment.environment.name"] == "prod"
    assert attributes["process.runtime.name"] == "argument"


def test_an_attribute_that_fights_back_is_left_out(build, caplog):
    """An object without a text is left out with its attribute, which one warning names."""
    found = build(extra={"bad": Unreadable(), "worse": Unreadable(), "good": "yes"})
    assert found["good"] == "yes"
    assert not {"bad", "worse"} & found.keys()
    reports = [record.message for record in caplog.records if record.name == "eco2_tracing"]
    assert [
        name for name in ("bad", "worse", "good") if f"resource attribute {name}," in "".join(reports)
    ] == [
        "bad",
        "worse",
    ]
    assert len(reports) == 2


@pytest.mark.parametrize("name", ["deployment.environment", "deployment.environment.name"])
def test_environment_has_both_names(build, name):
    """The environment is set under its older and its newer name."""
    attributes = build(extra={name: "dev", "service.name": "argument", "service.version": "1"})
    assert attributes["deployment.environment"] == attributes["deployment.environment.name"] == "dev"
    assert (attributes["service.name"], attributes["service.version"]) == ("argument", "1")


def test_no_environment_unless_known(build):
    """An unknown environment is absent."""
    assert "deployment.environment" not in build()


@pytest.mark.parametrize(
    ("environ", "attribute"),
    [
        ({"POD_NAME": "x"}, "k8s.pod.name"),
        ({"MY_POD_NAME": "x"}, "k8s.pod.name"),
        ({"K8S_POD_NAME": "x", "POD_NAME": "y"}, "k8s.pod.name"),
        ({"OTEL_RESOURCE_ATTRIBUTES_POD_NAME": "x"}, "k8s.pod.name"),
        ({"POD_UID": "x"}, "k8s.pod.uid"),
        ({"POD_IP": "x"}, "k8s.pod.ip"),
        ({"POD_NAMESPACE": "x"}, "k8s.namespace.name"),
        ({"K8S_NAMESPACE_NAME": "x"}, "k8s.namespace.name"),
        ({"K8S_NODE_NAME": "x"}, "k8s.node.name"),
        ({"NODE_NAME": "x", "POD_NAME": "p"}, "k8s.node.name"),
        ({"CONTAINER_NAME": " x ", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "k8s.container.name"),
    ],
)
def test_kubernetes_facts(build, environ, attribute):
    """The usual variables of the downward API are read."""
    assert build(environ=environ)[attribute] == "x"


def test_common_names_outside_kubernetes(build):
    """NODE_NAME outside Kubernetes is not a Kubernetes node."""
    attributes = build(environ={"NODE_NAME": "x", "CONTAINER_NAME": "x", "POD_NAME": " "})
    assert not [name for name in attributes if name.startswith("k8s.")]


def test_resource_attributes_beat_the_downward_api(build):
    """OTEL_RESOURCE_ATTRIBUTES wins over everything detected."""
    settings = Settings(resource_attributes={"k8s.pod.name": "set"})
    assert build(settings, environ={"POD_NAME": "detected"})["k8s.pod.name"] == "set"


def test_each_process_is_an_instance(build):
    """The instance id is a random UUID unless given."""
    first, second = build()["service.instance.id"], build()["service.instance.id"]
    assert uuid.UUID(first).version == 4
    assert first != second
    given = Settings(resource_attributes={"service.instance.id": "given"})
    assert build(given)["service.instance.id"] == "given"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_forked_workers_differ():
    """Each child process has its own ids, and so have its children; other attributes stay."""
    settings = Settings("s", resource_attributes={"host.name": "set"})
    parent = build_resource(settings, environ={}, proc=Path(os.devnull))
    reader, writer = os.pipe()
    child = os.fork()
    if not child:  # pragma: no cover - the child leaves by _exit, which writes no coverage
        own = after_fork_resource(parent).attributes
        again = after_fork_resource(after_fork_resource(parent)).attributes
        words = (own["process.pid"], own["process.parent_pid"], own["host.name"], own["service.instance.id"])
        os.write(writer, " ".join(map(str, (*words, again["service.instance.id"]))).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        pid, parent_pid, host, *instances = stream.read().split()
    assert (pid, parent_pid, host) == (str(child), str(os.getpid()), "set")
    assert len({*instances, parent.attributes["service.instance.id"]}) == 3


def test_forked_instance_is_new():
    """Each fork gets a new instance id."""
    parent = build_resource(Settings("s"), environ={}, proc=Path(os.devnull))
    child = after_fork_resource(parent)
    resources = (parent, child, after_fork_resource(child))
    assert len({resource.attributes["service.instance.id"] for resource in resources}) == 3


def test_given_instance_survives_a_fork():
    """An instance id that was given is kept."""
    settings = Settings(resource_attributes={"service.instance.id": "given"})
    forked = after_fork_resource(build_resource(settings, environ={}, proc=Path(os.devnull)))
    assert forked.attributes["service.instance.id"] == "given"


def test_resource_of_somebody_else():
    """Another resource keeps its attributes, except those of the process."""
    forked = after_fork_resource(Resource({"a": "b"}, "https://example.com/schema"))
    assert forked.attributes["a"] == "b"
    assert forked.attributes["process.pid"] == os.getpid()
    assert forked.schema_url == "https://example.com/schema"
