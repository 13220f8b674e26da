"""A RabbitMQ broker for tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.servers import answers, command, folder, free_port, running

# Debian's command on PATH needs root or its own user, and uses its own folders.
_SCRIPTS = "/usr/lib/rabbitmq/bin"


@contextmanager
def rabbitmq() -> Iterator[int]:
    """Run RabbitMQ on a free port until the block ends; skips where it is not installed.

    It has its own epmd, in the foreground, because one that Erlang starts outlives the broker.

    Yields:
        The AMQP port on 127.0.0.1; the user is ``guest``, as is its password.
    """
    epmd = command("epmd", "erlang-base")
    server = shutil.which("rabbitmq-server", path=_SCRIPTS)
    if server is None:
        pytest.skip(f"no rabbitmq-server in {_SCRIPTS}; Debian has it in rabbitmq-server")
    port, names = free_port(), free_port()
    with (
        folder() as lobby,
        folder() as home,
        running([epmd, "-address", "127.0.0.1", "-port", str(names)], answers(names), lobby),
        running(["env", *_environment(home, port, names), server], answers(port), home),
    ):
        yield port


def _environment(home: Path, port: int, names: int) -> list[str]:
    """The variables that limit a broker to its folder and its ports."""
    (home / "plugins").write_text("[].")
    (home / "rabbitmq.conf").write_text(
        "log.console = true\nlog.file = false\ndisk_free_limit.absolute = 1MB\n"
    )
    values = {
        "ERL_EPMD_PORT": names,
        "HOME": home,
        "RABBITMQ_CONF_ENV_FILE": home / "none",
        "RABBITMQ_CONFIG_FILE": home / "rabbitmq.conf",
        "RABBITMQ_DIST_PORT": free_port(),
        "RABBITMQ_ENABLED_PLUGINS_FILE": home / "plugins",
        "RABBITMQ_FEATURE_FLAGS_FILE": home / "flags",
        "RABBITMQ_GENERATED_CONFIG_DIR": home,
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_LOG_BASE": home,
        "RABBITMQ_MNESIA_BASE": home,
        "RABBITMQ_NODENAME": f"eco2-{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": port,
        "RABBITMQ_PLUGINS_EXPAND_DIR": home / "expanded",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
    }
    return [f"{name}={value}" for name, value in values.items()]
