"""A private CA for the end-to-end tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eco2_tracing.testing import TlsFiles


@dataclass(frozen=True)
class Certificates:
    """Certificates of a private CA, as PEM files.

    Attributes:
        ca: The CA's own certificate.
        client: A client's key and certificate in one file.
        server: A server's files, which ask for such a client.
    """

    ca: Path
    client: Path
    server: TlsFiles
