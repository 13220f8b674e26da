"""The benchmarks' runs over real servers, scaled down."""

from __future__ import annotations


def test_every_error_of_two_services_is_kept(benchmarks):
    """All failing and slow traces are complete in both services, nothing is exported twice."""
    import kept_errors

    report = kept_errors.run(600, 16)
    # Memory settles in longer runs only.
    wrong = [row for row in report.rows if not row[2] and not row[0].startswith("memory")]
    assert wrong == [], str(report)


def test_an_error_storm_over_http(benchmarks):
    """The cap holds, every answer is the service's own, and what was refused is counted."""
    import error_storm
    import kept_errors

    report = kept_errors.Report()
    error_storm.storm_outside(report, 0.5)
    assert report.good, str(report)
