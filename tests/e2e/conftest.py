"""Fixtures of the end-to-end tests: databases, certificates, collectors."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.e2e.certificates import Certificates
from tests.support.jaeger import each_jaeger
from tests.support.postgres import postgres
from tests.support.redis import redis_server

from eco2_tracing.testing import TlsFiles

__all__ = ["certificates", "each_jaeger", "stores"]


@pytest.fixture(scope="session")
def stores() -> Iterator[dict[str, str]]:
    """A real PostgreSQL and a real Redis, as environment variables of a service."""
    for library in ("asyncpg", "redis"):
        for package in (library, f"opentelemetry.instrumentation.{library}"):
            if find_spec(package) is None:
                pytest.skip(f"{package} is not here: pip install {library} 'eco2-tracing[{library}]'")
    with postgres() as database, redis_server() as port:
        yield {"DATABASE_URL": database.url, "REDIS_URL": f"redis://127.0.0.1:{port}"}


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A private CA with its certificates."""
    import trustme

    folder: Path = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    ca, server, key, client = (folder / name for name in ("ca.pem", "server.pem", "server.key", "client.pem"))
    authority.cert_pem.write_to_path(str(ca))
    # The last is Docker's bridge, by which containers reach each other.
    served = authority.issue_cert("127.0.0.1", "localhost", "172.17.0.1")
    served.cert_chain_pems[0].write_to_path(str(server))
    served.private_key_pem.write_to_path(str(key))
    authority.issue_cert("auth-api.auth").private_key_and_cert_chain_pem.write_to_path(str(client))
    return Certificates(ca, client, TlsFiles(server, key, ca))
