"""A Redis server for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.servers import answers, command, folder, free_port, running


@contextmanager
def redis_server() -> Iterator[int]:
    """Run Redis on a free port, without persistence, until the block ends; skips where it is not installed.

    Yields:
        The port.
    """
    server = command("redis-server", "redis-server")
    port = free_port()
    with folder() as home:
        arguments = [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        with running(arguments, answers(port), home):
            yield port
