"""The files of the deployment kit fit together and the library, which no validator checks."""

from __future__ import annotations

import shutil

import pytest

from tests.kubernetes.breakages import BREAKAGES, CHECKS, Breakage
from tests.kubernetes.kit import FOLDER, Kit


def name(check) -> str:
    """The id of a check: its module and name."""
    return f"{check.__module__.rpartition('.')[2]}.{check.__name__}"


@pytest.mark.parametrize("check", CHECKS, ids=name)
def test_kit_is_consistent(check, kit):
    """The check finds nothing."""
    assert list(check(kit)) == []


def copy(kit: Kit, folder) -> Kit:
    """A copy of the kit, with what is rendered already."""
    shutil.copytree(FOLDER.parent, folder / "examples", ignore=shutil.ignore_patterns("*.py", "node_modules"))
    return Kit(folder / "examples" / "kubernetes", kit.kubectl, dict(kit.rendered))


def change(kit: Kit, file: str, old: str, new: str) -> None:
    """Change a file of a copy, and forget what it is rendered to."""
    path = kit.folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    part = file.partition("/")[0]
    for overlay in [overlay for overlay in kit.rendered if overlay.partition("/")[0] == part]:
        del kit.rendered[overlay]


def breakage_id(breakage: Breakage) -> str:
    """The id of a breakage: the check and the finding."""
    return f"{name(breakage.check)}: {breakage.finding}"


@pytest.mark.parametrize("breakage", BREAKAGES, ids=breakage_id)
def test_broken_copy_is_found(breakage, kit, tmp_path):
    """The check finds the change of one line, and nothing before it."""
    for overlay in kit.overlays:
        kit.render(overlay)
    broken = copy(kit, tmp_path)
    change(broken, breakage.file, breakage.old, breakage.new)
    findings = list(breakage.check(broken))
    assert any(breakage.finding in finding for finding in findings), findings


def test_every_check_is_broken_once():
    """Each check has a change that it must find."""
    assert {breakage.check for breakage in BREAKAGES} == set(CHECKS)


def test_providers_are_switched_in_two_lines(kit, tmp_path):
    """The OpenTelemetry provider in an overlay of the service and of the mesh leaves the kit consistent."""
    switched = copy(kit, tmp_path)
    change(switched, "service/overlays/staging/kustomization.yaml", "mesh-zipkin]", "mesh-otel]")
    change(switched, "mesh/overlays/staging/kustomization.yaml", "components/zipkin]", "components/otel]")
    assert [finding for check in CHECKS for finding in check(switched)] == []


def test_missing_file_of_a_generator_is_found(kit, tmp_path):
    """kubectl refuses a ConfigMap whose file is gone."""
    broken = copy(kit, tmp_path)
    (broken.folder / "tempo" / "tempo.yaml").unlink()
    broken.rendered.clear()
    with pytest.raises(ValueError, match=r"tempo\.yaml"):
        broken.render("tempo")
