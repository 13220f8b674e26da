"""A Kafka broker of one node, from Apache's binary release.

`kafka_2.13-4.1.1.tgz` of https://kafka.apache.org/downloads is unpacked to `~/.cache/eco2-tracing/kafka`,
or to the folder that ``ECO2_TEST_KAFKA`` names.
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

_JAVA = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dslf4j.internal.verbosity=ERROR"]


def _jars() -> Path:
    """The folder of the release's jars; skips if there is none."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    release = Path(os.environ.get("ECO2_TEST_KAFKA") or f"{cache}/eco2-tracing/kafka").expanduser()
    for jar in release.glob("**/kafka_2.13-*.jar"):
        return jar.parent
    return pytest.skip(
        f"no Kafka in {release}: unpack kafka_2.13-4.1.1.tgz of kafka.apache.org/downloads there"
    )


@contextmanager
def kafka() -> Iterator[int]:
    """Run a Kafka broker on a free port until the block ends; skips if Kafka or Java is absent.

    The broker creates a topic at its first use.

    Yields:
        The port on 127.0.0.1.
    """
    java = command("java", "default-jre-headless")
    jars = _jars()
    port = free_port()
    with folder() as home:
        # The broker runs as an unprivileged user, who may not read the home of the user who runs the tests.
        shutil.copytree(jars, home / "jars")
        (home / "server.properties").write_text(_properties(home, port, free_port()))
        run = [java, *_JAVA, "-cp", str(home / "jars" / "*")]
        name = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")
        create = [*run, "kafka.tools.StorageTool", "format", "-t", name, "-c", "server.properties"]
        subprocess.run(create, check=True, capture_output=True, cwd=home, user=unprivileged())
        with running([*run, "kafka.Kafka", "server.properties"], answers(port), home):
            yield port


def _properties(home: Path, port: int, controller: int) -> str:
    """The configuration of a broker that is its own controller, with replication and rebalance delay off."""
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
