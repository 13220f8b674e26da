"""A MariaDB server for tests."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.servers import answers, command, folder, free_port, running, unprivileged


@contextmanager
def mariadb() -> Iterator[int]:
    """Run MariaDB on a free port until the block ends; skips where it is not installed.

    Yields:
        The port on 127.0.0.1; the user is ``root``, without a password.
    """
    create, server = (command(name, "mariadb-server") for name in ("mariadb-install-db", "mariadbd"))
    port = free_port()
    with folder() as home:
        # Small files without flushes, because the data is discarded.
        quick = ["--innodb-log-file-size=4M", "--innodb-flush-method=nosync"]
        place = ["--no-defaults", f"--datadir={home / 'data'}", f"--tmpdir={home}", *quick]
        made = [create, *place, "--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(made, check=True, capture_output=True, cwd=home, user=unprivileged())
        files = [f"--socket={home / 'socket'}", f"--pid-file={home / 'pid'}"]
        listen = [f"--port={port}", "--bind-address=127.0.0.1", "--skip-name-resolve"]
        with running([server, *place, *files, *listen], answers(port), home):
            yield port
