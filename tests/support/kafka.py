"""A Kafka broker of the tests' own, one node without ZooKeeper.

It is no package of Debian. Maven puts it where the tests look, once:

    mvn -q -f tests/support/kafka.xml dependency:copy-dependencies -DincludeScope=runtime \
        -DoutputDirectory="${XDG_CACHE_HOME:-$HOME/.cache}/eco2-tracing/kafka"
"""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.servers import answers, command, folder, free_port, running, unprivileged

_POM = "tests/support/kafka.xml"
_JAVA = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dslf4j.internal.verbosity=ERROR"]


def _jars() -> Path:
    """The folder that Maven filled; ``ECO2_TEST_KAFKA`` names another one."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    where = Path(os.environ.get("ECO2_TEST_KAFKA") or f"{cache}/eco2-tracing/kafka").expanduser()
    if not list(where.glob("kafka_2.13-*.jar")):
        fetch = (
            f"mvn -q -f {_POM} dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory={where}"
        )
        pytest.skip(f"no Kafka broker in {where}; Maven brings it: {fetch}")
    return where


@contextmanager
def kafka() -> Iterator[int]:
    """Run a Kafka broker on a free port until the block ends; skips where it or Java is absent.

    Topics come into being when they are first written to or asked for.

    Yields:
        The port on 127.0.0.1.
    """
    java = command("java", "default-jre-headless")
    jars = _jars()
    port = free_port()
    with folder() as home:
        # What is in the home of the user who runs the tests, an unprivileged one may not read.
        shutil.copytree(jars, home / "jars")
        (home / "server.properties").write_text(_properties(home, port, free_port()))
        run = [java, *_JAVA, "-cp", str(home / "jars" / "*")]
        name = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")
        create = [*run, "kafka.tools.StorageTool", "format", "-t", name, "-c", "server.properties"]
        subprocess.run(create, check=True, capture_output=True, cwd=home, user=unprivileged())
        with running([*run, "kafka.Kafka", "server.properties"], answers(port), home):
            yield port


def _properties(home: Path, port: int, controller: int) -> str:
    """A broker that is its own controller and waits for nobody."""
    return "\n".join(
        [
            "process.roles=broker,controller",
            "node.id=1",
            f"controller.quorum.voters=1@127.0.0.1:{controller}",
            f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
            f"advertised.listeners=PLAINTEXT://127.0.0.1:{port}",
            "controller.listener.names=CONTROLLER",
            f"log.dirs={home}/data",
            "num.partitions=1",
            "offsets.topic.replication.factor=1",
            "offsets.topic.num.partitions=1",
            "transaction.state.log.replication.factor=1",
            "transaction.state.log.min.isr=1",
            "group.initial.rebalance.delay.ms=0",
        ]
    )
