"""The files of the deployment kit fit together and the library, which no validator checks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.kubernetes import library, mesh, network, pages, pods, tools
from tests.kubernetes.kit import FOLDER, Kit, parsed


def name(check) -> str:
    """The id of a check: its module and name."""
    return f"{check.__module__.rpartition('.')[2]}.{check.__name__}"


MODULES = (pods, mesh, network, tools, pages, library)
CHECKS = {name(check): check for module in MODULES for check in module.CHECKS}
BREAKAGES = parsed(Path(__file__).with_name("breakages.yaml").read_text())


@pytest.mark.parametrize("check", CHECKS)
def test_kit_is_consistent(check, kit):
    """The check finds nothing."""
    assert list(CHECKS[check](kit)) == []


def copy(kit: Kit, folder) -> Kit:
    """A copy of the kit, with what is rendered already."""
    shutil.copytree(FOLDER.parent, folder / "examples", ignore=shutil.ignore_patterns("*.py", "node_modules"))
    return Kit(folder / "examples" / "kubernetes", kit.kubectl, dict(kit.rendered))


def change(kit: Kit, file: str, old: str, new: str) -> None:
    """Change a file of a copy. Three of the overlays that have it are rendered again, which is enough to find it."""
    path = kit.folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    for overlay in kit.users(file.rpartition("/")[0])[:3]:
        kit.rendered.pop(overlay, None)


@pytest.mark.parametrize(
    ("check", "breakage"),
    [
        pytest.param(check, breakage, id=f"{check}: {breakage['finding']}")
        for check, breakages in BREAKAGES.items()
        for breakage in breakages
    ],
)
def test_broken_copy_is_found(check, breakage, kit, tmp_path):
    """The check finds the change of one text."""
    for overlay in kit.overlays:
        kit.render(overlay)
    broken = copy(kit, tmp_path)
    change(broken, breakage["file"], breakage["old"], breakage["new"])
    findings = list(CHECKS[check](broken))
    assert any(breakage["finding"] in finding for finding in findings), findings


def test_every_check_is_broken_once():
    """Each check has a change that it must find."""
    assert set(BREAKAGES) == set(CHECKS)


def test_providers_are_switched_in_two_lines(kit, tmp_path):
    """The OpenTelemetry provider in an overlay of the service and of the mesh leaves the kit consistent."""
    switched = copy(kit, tmp_path)
    change(switched, "service/overlays/staging/kustomization.yaml", "mesh-zipkin]", "mesh-otel]")
    change(switched, "mesh/overlays/staging/kustomization.yaml", "components/zipkin]", "components/otel]")
    assert [finding for check in CHECKS.values() for finding in check(switched)] == []


def test_missing_file_of_a_generator_is_found(kit, tmp_path):
    """Kubectl refuses a ConfigMap whose file is gone."""
    broken = copy(kit, tmp_path)
    (broken.folder / "tempo" / "tempo.yaml").unlink()
    broken.rendered.clear()
    with pytest.raises(ValueError, match=r"tempo\.yaml"):
        broken.render("tempo")
