"""Fixtures of the tests of the testing helpers."""

from __future__ import annotations

import pytest
import trustme

from eco2_tracing.testing import TlsFiles


@pytest.fixture
def tls_files(tmp_path):
    """PEM files of a new CA; one certificate is used by both sides."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    files = TlsFiles(tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "ca.pem")
    for number, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(files.certificate, append=number > 0)
    issued.private_key_pem.write_to_path(files.private_key)
    authority.cert_pem.write_to_path(files.client_ca)
    return files
