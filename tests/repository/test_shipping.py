"""The distribution: one version, a complete wheel, commands that run, no paths of a machine."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from importlib.metadata import version

from eco2_tracing._instrumentation.libraries.tested import TESTED
from tests.repository.sources import PYPROJECT, ROOT, tracked

CI = (ROOT / ".ci" / "run").read_text()
README = (ROOT / "README.md").read_text()


def commands(text: str) -> list[str]:
    """The shell commands of a page, in order."""
    return re.findall(r"^\$ (.+)$", text, re.MULTILINE)


def test_one_version():
    """Changelog, project and installed package have the same version."""
    newest = re.search(
        r"^## \[(\d[^]]*)] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert newest
    assert newest[1] == PYPROJECT["project"]["version"] == version("eco2-tracing")


def test_wheel_is_complete(tmp_path):
    """It has every module, the files of the viewer's page, the type marker and the license, in one package."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    sources = [*(ROOT / "src").rglob("*.py"), *(ROOT / "src/eco2_tracing/_view/page").iterdir()]
    assert {str(path.relative_to(ROOT / "src")) for path in sources} <= set(names)
    assert "eco2_tracing/py.typed" in names
    assert {f"eco2_tracing/_cli/_examples/{path.name}" for path in (ROOT / "examples").glob("*.py")} <= set(
        names
    )
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"eco2_tracing"}


def test_ci_runs_the_commands_of_the_readme():
    """`.ci/run` runs them."""
    ci = CI.replace('"$python"', "python3.11")
    ci = re.sub(r'"\$(?:venv|demo)(/[^"]*)?"', r".venv\1", ci)
    demo, tests = commands(README)[:2]
    install, _, test = tests.rpartition(" && ")
    assert demo in ci
    assert install in ci
    assert test.endswith("-m pytest")
    assert "-m pytest" in ci


def test_the_readme_is_two_screens_long():
    """At most 90 lines, each of which a screen can show."""
    lines = README.splitlines()
    assert len(lines) <= 90
    assert [line for line in lines if len(line) > 160] == []


def test_every_tested_library_has_its_extra():
    """The extra of a warning exists, and `all` includes each."""
    extras = PYPROJECT["project"]["optional-dependencies"]
    for library in TESTED:
        (requirement,) = extras[library.extra]
        assert requirement.partition(">=")[0] == library.package
    everything = {name for line in extras["all"] for name in line.partition("[")[2].rstrip("]").split(",")}
    others = {"all", "cli", "demo", "json-logger", "prometheus", "testing"}
    assert everything == {library.extra for library in TESTED} == set(extras) - others


def test_no_paths_of_a_machine():
    """No file names a home or working directory."""
    private = re.compile(r"(?<![\w.$}{])/(?:(?:home|Users|work)/[\w.]|root/\.)")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in tracked()
        for line in path.read_text(errors="replace").splitlines()
        if private.search(line)
    ]
    assert found == []


def test_every_suppression_has_a_reason():
    """Rules and coverage are suppressed with a code and a reason."""
    bare = re.compile(r"#\s*(?:noqa(?!: [A-Z]+\d+)|type: ignore(?!\[)|pragma: no (?:cover|branch)(?! - ))")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in tracked()
        if path.suffix == ".py" and path.name != "test_shipping.py"
        for line in path.read_text().splitlines()
        if bare.search(line)
    ]
    assert found == []
