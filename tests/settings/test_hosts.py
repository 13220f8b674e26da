"""Internal hosts are recognised by their name."""

from __future__ import annotations

import pytest

from eco2_tracing._settings import InternalHosts

OWN = "localhost collector a.localhost a.b.svc a.b.svc.cluster.local 127.0.0.1 10.1.2.3 [::1] fd00::1 ::ffff:10.0.0.1"
OWN += " own.example.com a.b.example.org Collector."


@pytest.mark.parametrize("host", OWN.split())
def test_own_hosts(host):
    """Loopback, private literals, dotless names, the cluster's domains and the listed hosts are internal."""
    assert InternalHosts(["own.example.com", "*.example.org"]).includes(host)


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "a.own.example.com",
        "8.8.8.8",
        "134744072",
        "2001:db8::1",
        "svc.example.com",
        "a b",
        ":x",
    ],
)
def test_other_hosts(host):
    """All other hosts are external, also numbers that some resolvers read as addresses."""
    assert not InternalHosts(["own.example.com", "*.example.org"]).includes(host)
