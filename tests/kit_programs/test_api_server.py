"""A real API server accepts the kit, and refuses what the kit must not have."""

from __future__ import annotations

import copy

import pytest

from tests.support import crds
from tests.support.kit import name, overlays, rendered

DRY_RUN = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename=-")


@pytest.fixture(scope="module")
def versions(server):
    """The groups and versions that the server serves."""
    return set(server.kubectl("api-versions").stdout.split())


@pytest.mark.parametrize("folder", overlays(), ids=name)
def test_server_accepts(server, versions, folder):
    """By a server-side dry run, with strict fields and without a warning."""
    known = [one for one in rendered(folder) if one["apiVersion"] in versions]
    if known:
        done = server.kubectl(*DRY_RUN, given=known)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count("(server dry run)") == len(known)
    if others := {one["kind"] for one in rendered(folder)} - {one["kind"] for one in known}:
        pytest.skip(
            f"{len(known)} objects are accepted; not checked: {', '.join(sorted(others))}; {crds.MORE}"
        )


BREAKS = {
    "unknown field": (lambda one: one["spec"].update(replica=2), "replica: field not declared in schema"),
    "wrong type": (lambda one: one["spec"].update(replicas="two"), "replicas"),
    "selector that misses the Pods": (
        lambda one: one["spec"]["selector"].update(matchLabels={"app": "other"}),
        "selector",
    ),
}


@pytest.mark.parametrize("broken", BREAKS)
def test_server_refuses_a_broken_copy(server, broken):
    """So the run above would have failed."""
    spoil, expected = BREAKS[broken]
    folder = next(one for one in overlays() if any(d["kind"] == "Deployment" for d in rendered(one)))
    (document, *_) = copy.deepcopy([one for one in rendered(folder) if one["kind"] == "Deployment"])
    spoil(document)
    done = server.kubectl(*DRY_RUN, given=document)
    assert done.returncode != 0
    assert expected in done.stderr
