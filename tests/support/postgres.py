"""A PostgreSQL server for tests."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.servers import command, folder, free_port, running, unprivileged

READY = "ready to accept connections"


@dataclass(frozen=True)
class Postgres:
    """A running server.

    Attributes:
        port: On 127.0.0.1; user and database are ``postgres``, without a password.
    """

    port: int

    @property
    def url(self) -> str:
        """The URL that libpq, asyncpg and psycopg take."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Run PostgreSQL on a free port until the block ends; skips where it is not installed."""
    initdb, server = (command(name, "postgresql") for name in ("initdb", "postgres"))
    port = free_port()
    with folder() as home:
        create = [initdb, "-D", str(home / "data"), "-U", "postgres", "-A", "trust", "--no-sync"]
        subprocess.run(create, check=True, capture_output=True, cwd=home, user=unprivileged())
        arguments = [server, "-D", str(home / "data"), "-p", str(port), "-k", str(home)]
        log = home / "log"
        # It listens before it is ready, and refuses connections until then.
        with running([*arguments, "-h", "127.0.0.1", "-F"], lambda: READY in log.read_text(), home):
            yield Postgres(port)
