"""Internal and external hosts."""

from __future__ import annotations

import pytest

from eco2_tracing.propagation import Propagation

OWN = [
    "localhost", "LOCALHOST.", "api.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "0.0.0.0", "::",
    "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "169.254.1.1", "10.0.0.1.",
    "fd00::1", "[FD00::1]", "fe80::1", "fe80::1%eth0", "::ffff:10.0.0.1",
    "auth-api", "AUTH_API", "redis-0", "db2", "_internal",
    "auth.default.svc", "auth.default.svc.", "auth.default.svc.cluster.local", "auth.default.svc.corp.example",
    "x.svc.v2", "pod.cluster.local", "api.partner.example", "deep.api.corp.example", "203.0.113.7", "x.late.example",
]  # fmt: skip
OTHERS = [
    "", ".", "example.com", "localhost.example.com", "svc.example.com", "auth.svcs", "cluster.local.example.com",
    "mycluster.local", "notcluster.local", "8.8.8.8", "172.15.0.1", "172.32.0.1", "100.128.0.1", "192.0.2.1",
    "2130706433", "0x7f000001", "0x", "0177.0.0.1", "127.1", "10.1", "0x7f.0.0.1", "1.2.3.4.5", "a.0x7f", "host.1",
    "2001:db8::1", "::ffff:8.8.8.8", "[::1", "::1]", "[::1]:80", "[auth-api]",
    "example.com:80", "localhost:80", "64:ff9b::a00:1", "fe80::1%@evil.com", "::1% a", "::1%\u3002", "fe80::1%",
    "evil.com\u3002", "evil\u3002com", "\uff11\uff10.0.0.1", "a b", "user@auth-api", "auth/api", "auth%2eapi", "a..svc",
    ".svc", "-auth", "auth-api\x00", "\ud800", "x" * 256, "corp.example", "acorp.example", "partner.example",
]  # fmt: skip
TARGETS = ("API.Partner.example.", "*.corp.example", ".late.example", "203.0.113.7", "*", "", ".", "*.")


@pytest.mark.parametrize("host", OWN)
def test_own(host: str):
    """Loopback, private, dotless, cluster and listed names are internal."""
    assert Propagation(targets=TARGETS).is_internal_host(host)


@pytest.mark.parametrize("host", OTHERS)
def test_others(host: str):
    """Public names, public addresses and unusual notations are external."""
    assert not Propagation(targets=TARGETS).is_internal_host(host)


def test_targets_are_needed():
    """Listed names are external without the list."""
    propagation = Propagation()
    for host in ("api.partner.example", "deep.api.corp.example", "203.0.113.7", "x.late.example"):
        assert not propagation.is_internal_host(host)


def test_asked_twice():
    """The cached result is the same."""
    propagation = Propagation()
    assert [propagation.is_internal_host("example.com") for _ in range(2)] == [False, False]
    assert [propagation.is_internal_host("auth-api") for _ in range(2)] == [True, True]
