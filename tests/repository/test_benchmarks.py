"""The benchmarks count, compare and draw what they claim; the guard against slowdowns can fail."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import grpc
import pytest
from benchmarks.cost import guard
from benchmarks.cost.__main__ import main
from benchmarks.cost._results import Record, Results, Spread
from benchmarks.cost._sink import EXPORT, Receiver
from benchmarks.cost._svg import ticks
from benchmarks.cost._tables import growth, readme
from benchmarks.cost.plots import MESH, write_plots
from benchmarks.cost.report import filled, in_markdown, markdown, sections
from benchmarks.peers import load, missing
from benchmarks.variants import UNTRACED, VARIANTS, chosen
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.repository.sources import ROOT

PEERS = sorted(path.stem for path in (ROOT / "benchmarks" / "peers").glob("[!_]*.py"))


def results(figures: dict[str, dict[str, list[float]]]) -> Results:
    """Records of one part: by row and variant, a CPU figure for each round."""
    found = Results(
        {
            "date": "2026-11-30",
            "machine": "2 x CPU",
            "versions": "python 3.11, fastapi 0.165",
            "command": "bench",
        }
    )
    for row, variants in figures.items():
        for variant, values in variants.items():
            found.records += [
                Record("request", row, f"{number}", variant, {"cpu_us": value})
                for number, value in enumerate(values)
            ]
    return found


def test_a_ratio_is_taken_within_a_round():
    """A slow round slows both sides: the ratio is the median of the rounds' own ratios."""
    found = results({"small": {UNTRACED: [100, 200, 400], "ours, sampled": [110, 220, 480]}})
    ratio = found.ratio("request", "small", "ours, sampled", UNTRACED, "cpu_us")
    assert ratio == Spread(pytest.approx(1.1), pytest.approx(1.1), pytest.approx(1.2))
    assert found.added("request", "small", "ours, sampled", UNTRACED, "cpu_us") == Spread(20, 10, 80)


def test_a_variant_without_rounds_has_no_figure():
    """What was not measured is `None`, not 0."""
    found = results({"small": {UNTRACED: [100]}})
    assert found.ratio("request", "small", "stock, sampled", UNTRACED, "cpu_us") is None
    assert found.spread("request", "small", "stock, sampled", "cpu_us") is None


def test_records_are_read_as_they_were_written(tmp_path):
    """A run goes on where another one ended."""
    found = results({"small": {UNTRACED: [100.5], "ours, sampled": [110]}})
    found.skipped = {"ddtrace, sampled": "ddtrace is not installed"}
    found.write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == found


def test_tables_have_each_variant_and_what_was_skipped():
    """Medians, and the range over the rounds."""
    found = results({"small": {UNTRACED: [100, 100], "ours, sampled": [110, 130]}})
    found.skipped = {"ddtrace, sampled": "ddtrace is not installed"}
    text = markdown(found)
    assert "| eco2-tracing, sampled | 120.0 | +20.0 (10.0 to 30.0) |" in text
    assert "Not measured: ddtrace, sampled: ddtrace is not installed." in text


def test_the_readme_table_says_what_was_not_measured():
    """A missing figure is named, not left out."""
    found = results({MESH: {UNTRACED: [100], "ours, sampled": [120], "stock, sampled": [600]}})
    text = "\n".join(in_markdown(readme(found)))
    assert "| … sampled and exported | 20 µs | 500 µs | 4 % |" in text
    assert "not measured" in text


def test_tables_are_written_between_the_marks():
    """The page keeps the rest, and what was not measured."""
    found = results({MESH: {UNTRACED: [100], "ours, sampled": [120]}})
    page = "# A\n<!-- bench: overview -->\nold\n<!-- /bench -->\nrest\n<!-- bench: server -->\nkept\n<!-- /bench -->\n"
    written = filled(page, sections(found))
    assert "old" not in written
    assert "| eco2-tracing | - / - |" in written
    assert written.endswith("rest\n<!-- bench: server -->\nkept\n<!-- /bench -->\n")


def test_growth_is_the_slope_between_the_ends():
    """The cost of one further route, header or span."""
    found = Results()
    for row, values in (("1", (100, 110)), ("101", (300, 320))):
        for variant, value in zip((UNTRACED, "ours, sampled"), values, strict=True):
            found.records.append(Record("routes", row, "0", variant, {"cpu_us": value}))
    head, routes, *_ = growth(found)
    assert dict(zip(head, routes, strict=True))["eco2-tracing, sampled"] == "0.100"


def test_plots_are_valid_in_light_and_dark(tmp_path):
    """Each plot is XML, names its variants and has colours for both schemes."""
    figures = {UNTRACED: [100, 101], "ours, sampled": [120, 125], "stock, sampled": [600, 640]}
    found = results({MESH: figures})
    found.records += [
        Record("routes", row, "0", name, {"cpu_us": 1.0}) for row in ("1", "9") for name in figures
    ]
    written = write_plots(found, tmp_path)
    assert [path.name for path in written] == ["request.svg", "growth.svg"]
    for path in written:
        text = path.read_text()
        ET.fromstring(text)
        assert "prefers-color-scheme: dark" in text
        assert "eco2-tracing, sampled" in text


@pytest.mark.parametrize("most", [0.07, 1, 9.9, 100, 12_345])
def test_an_axis_reaches_its_greatest_value(most):
    """Its numbers are round, and few."""
    found = ticks(most)
    assert found[0] == 0
    assert found[-1] >= most * 0.999
    assert 3 <= len(found) <= 8


@pytest.mark.parametrize("name", PEERS)
def test_each_peer_names_the_documentation_it_follows(name):
    """So that a reader can see whether it is set up as its makers recommend."""
    variant = next(one for one in VARIANTS.values() if one.peer == name)
    module = load(variant)
    assert isinstance(module.PACKAGES, tuple)
    assert name == "untraced" or re.search(r"https://\S+", module.__doc__)


def test_the_untraced_application_is_always_measured():
    """All ratios refer to it."""
    assert [one.name for one in chosen(["stock, sampled"])] == [UNTRACED, "stock, sampled"]
    assert missing(VARIANTS[UNTRACED]) == ""


def test_an_absent_tracer_is_named(monkeypatch):
    """It is skipped with the name of the package."""
    monkeypatch.setattr(load(VARIANTS["stock, sampled"]), "PACKAGES", ("no-such-package",))
    assert missing(VARIANTS["stock, sampled"]) == "no-such-package"


def otlp() -> bytes:
    """A server span and one inside."""
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    spans.add(name="GET /items/{item_id}", kind=2)
    spans.add(name="query", kind=3)
    return request.SerializeToString()


def test_the_receiver_counts_what_arrives():
    """OTLP over gRPC and HTTP, and the protocols of the other back ends, counted for each variant."""
    with Receiver(2) as receiver:
        first, second = receiver.sinks
        with grpc.insecure_channel(f"127.0.0.1:{first.grpc}") as channel:
            channel.unary_unary(EXPORT)(otlp(), timeout=30)
        connection = http.client.HTTPConnection("127.0.0.1", second.http, timeout=30)
        for path, headers, body in (
            ("/v1/traces", {}, otlp()),
            ("/v0.4/traces", {"X-Datadog-Trace-Count": "3"}, b"..."),
            ("/intake/v2/events", {}, b'{"metadata": {}}\n{"transaction": {}}\n'),
            ("/api/1/envelope/", {}, b'{}\n{"type":"transaction"}\n{"type":"transaction"}\n'),
        ):
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            response.read()
            assert response.status == 200
        connection.request("POST", "/intake/v2/events", iter([b'{}\n{"tran', b'saction": 1}\n']))
        connection.getresponse().read()
        connection.close()
        assert receiver.arrived(0) == {"requests": 1, "spans": 2, "bytes": len(otlp())}
        assert receiver.arrived(1)["requests"] == 1 + 3 + 1 + 1 + 1


def test_a_run_measures_in_processes_of_their_own(tmp_path, capsys):
    """Records, a table and a plot, for a variant and the untraced application."""
    path = tmp_path / "results.json"
    variant = "ours, sampled, no exporter"
    arguments = ["call", "--variants", variant, "--quick", "--rounds", "1"]
    main([*arguments, "--json", str(path)])
    found = Results.read(path)
    assert found.variants("call", "httpx call") == [UNTRACED, variant]
    assert all(one.figures["cpu_us"] > 0 for one in found.records)
    assert "eco2-tracing, sampled" in capsys.readouterr().out


def test_a_part_that_does_not_exist(capsys):
    """The error names those that do."""
    with pytest.raises(SystemExit):
        main(["everything"])
    assert "there are server," in capsys.readouterr().err


def test_without_wrk_the_server_is_skipped(monkeypatch, tmp_path, capsys):
    """The output says why, and how to get it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    main(["server", "--json", str(tmp_path / "results.json")])
    assert "`wrk` is not installed" in capsys.readouterr().out


@pytest.mark.quiet
def test_the_guard_notices_a_slowdown_of_30_percent():
    """It is planted in each figure, and compared with the same work without it in the same turns."""
    command = [sys.executable, "-m", "benchmarks.cost.guard", "--self-test"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(("baseline", "code"), [(1000.0, 0), (0.001, 1)])
def test_exit_code_of_the_guard(monkeypatch, tmp_path, baseline, code):
    """1 if a figure is over the limit."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    monkeypatch.setattr(guard, "BASELINE", tmp_path / "guard.json")
    monkeypatch.setattr(guard, "works", lambda: {"loop": guard.loop})
    monkeypatch.setattr(guard, "TURNS", 2)
    guard.BASELINE.write_text(json.dumps({python: {"loop": baseline}}))
    assert guard.main([]) == code


def test_the_guard_without_figures_for_this_python(monkeypatch, tmp_path, capsys):
    """It is skipped, and says so; `--update` writes them."""
    monkeypatch.setattr(guard, "BASELINE", tmp_path / "guard.json")
    monkeypatch.setattr(guard, "works", lambda: {"loop": guard.loop})
    monkeypatch.setattr(guard, "TURNS", 2)
    assert guard.main([]) == 0
    assert "skipped" in capsys.readouterr().out
    assert guard.main(["--update"]) == 0
    assert json.loads(guard.BASELINE.read_text())
