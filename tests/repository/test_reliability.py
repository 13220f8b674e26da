"""The scoreboard of `benchmarks/reliability`: it can fail, and its rows still run."""

from __future__ import annotations

import pytest
from benchmarks.reliability import leaks, lines
from benchmarks.reliability.__main__ import MODULES, all_rows, main
from benchmarks.reliability._row import Figure, Row, Scale

from tests.repository.sources import ROOT

QUICK = Scale(full=False)


def row(name: str, *, ours: bool = True, stock: bool = True) -> Row:
    """A row whose figures are known beforehand."""

    def measure(variant, scale):
        return Figure(f"{variant} {scale.of(1000, 1)}", held={"ours": ours, "stock": stock}[variant])

    return Row(name, f"{name} is promised", "0", measure)


def broken(name: str) -> Row:
    """A row that cannot be measured."""

    def measure(variant, scale):
        raise OSError("no port\nis free")

    return Row(name, "broken", "0", measure)


def test_a_held_table_is_a_success(capsys):
    """Whatever the stock set-up does."""
    assert main([], [row("first"), row("second", stock=False)]) == 0
    assert "second is promised" in capsys.readouterr().out


def test_a_promise_that_is_not_held_fails(capsys):
    """By the exit code, and in words."""
    assert main(["--quick"], [row("first", ours=False), row("second")]) == 1
    assert "ours   ours 1  (NOT HELD)" in capsys.readouterr().out


def test_a_row_that_raises_does_not_stop_the_others(capsys):
    """It has failed, and says how."""
    assert main([], [broken("first"), row("second")]) == 1
    out = capsys.readouterr().out
    assert "failed: OSError no port  (NOT HELD)" in out
    assert "stock  stock 1000  (held)" in out


def test_rows_can_be_chosen(capsys):
    """By name; a name that is none is told."""
    rows = [row("first", ours=False), row("second")]
    assert main(["second"], rows) == 0
    assert main(["--list", "first"], rows) == 0
    assert "first is promised" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="no row is called third; there are first, second"):
        main(["third"], rows)


def test_the_table_as_markdown(tmp_path, capsys):
    """With versions, and a mark at what is not held."""
    path = tmp_path / "table.md"
    main(["--markdown", str(path)], [row("a|b", stock=False)])
    text = path.read_text()
    assert "fastapi " in text
    assert "| `a\\|b` | a\\|b is promised | 0 | ours 1000 | **stock 1000** |" in text


def test_every_row_is_told():
    """Each module has rows, each name is taken once, and the documentation has them all, in their order."""
    names = [row.name for row in all_rows()]
    assert len(set(names)) == len(names) >= len(MODULES)
    page = (ROOT / "docs" / "reliability.md").read_text()
    told = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert [name for name in told if name in names][: len(names)] == names


@pytest.mark.parametrize("module", [leaks, lines])
def test_rows_run(module):
    """On a real service, held by this library."""
    for one in module.ROWS:
        figure = one.measure("ours", QUICK)
        assert figure.held, figure.text


def test_rows_can_fail():
    """A service that writes plain lines is found out."""
    (one,) = lines.ROWS
    figure = one.measure("bare", QUICK)
    assert not figure.held
    assert " 0 forged" not in figure.text
