"""The reliability table can fail, and its rows run."""

from __future__ import annotations

import pytest
from benchmarks.reliability import leaks, lines
from benchmarks.reliability.__main__ import MODULES, all_rows, main
from benchmarks.reliability._row import Figure, Row, Scale

from tests.repository.sources import ROOT

QUICK = Scale(full=False)


def row(name: str, *, ours: bool = True, stock: bool = True) -> Row:
    """A row with known results."""

    def measure(variant, scale):
        return Figure(f"{variant} {scale.of(1000, 1)}", held={"ours": ours, "stock": stock}[variant])

    return Row(name, f"{name} is promised", "0", measure)


def broken(name: str) -> Row:
    """A row that cannot be measured."""

    def measure(variant, scale):
        raise OSError("no port\nis free")

    return Row(name, "broken", "0", measure)


def test_exit_code_of_a_held_table(capsys):
    """0, whatever the stock set-up's results are."""
    assert main([], [row("first"), row("second", stock=False)]) == 0
    assert "second is promised" in capsys.readouterr().out


def test_exit_code_of_a_missed_goal(capsys):
    """1, and the output says so."""
    assert main(["--quick"], [row("first", ours=False), row("second")]) == 1
    assert "ours   ours 1  (NOT HELD)" in capsys.readouterr().out


def test_row_that_raises(capsys):
    """It has failed with the error, and the other rows run."""
    assert main([], [broken("first"), row("second")]) == 1
    out = capsys.readouterr().out
    assert "failed: OSError no port  (NOT HELD)" in out
    assert "stock  stock 1000  (held)" in out


def test_rows_by_name(capsys):
    """An unknown name is an error."""
    rows = [row("first", ours=False), row("second")]
    assert main(["second"], rows) == 0
    assert main(["--list", "first"], rows) == 0
    assert "first is promised" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="no row is called third; there are first, second"):
        main(["third"], rows)


def test_markdown_table(tmp_path, capsys):
    """With versions; missed goals are bold."""
    path = tmp_path / "table.md"
    main(["--markdown", str(path)], [row("a|b", stock=False)])
    text = path.read_text()
    assert "fastapi " in text
    assert "| `a\\|b` | a\\|b is promised | 0 | ours 1000 | **stock 1000** |" in text


def test_every_row_is_documented():
    """Row names are unique, and the docs have them in order."""
    names = [row.name for row in all_rows()]
    assert len(set(names)) == len(names) >= len(MODULES)
    page = (ROOT / "docs" / "reliability.md").read_text()
    told = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert [name for name in told if name in names][: len(names)] == names


@pytest.mark.parametrize("module", [leaks, lines])
def test_rows_run(module):
    """On a real service, with this library's goals met."""
    for one in module.ROWS:
        figure = one.measure("ours", QUICK)
        assert figure.held, figure.text


def test_rows_can_fail():
    """A service that writes plain lines misses the goal."""
    (one,) = lines.ROWS
    figure = one.measure("bare", QUICK)
    assert not figure.held
    assert " 0 forged" not in figure.text
