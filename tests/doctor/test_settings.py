"""Planted faults in the settings, and what the report says about settings that are right."""

from __future__ import annotations

import pytest

from eco2_tracing._doctor.configuration import check_queue
from eco2_tracing._doctor.finding import Facts
from eco2_tracing._settings import load_settings


@pytest.mark.parametrize(
    ("name", "value", "kind", "cure"),
    [
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10", "timeout-in-seconds", "OTEL_EXPORTER_OTLP_TIMEOUT=10000"),
        (
            "OTEL_EXPORTER_OLTP_ENDPOINT",
            "http://x:4317",
            "misspelt-variable",
            "to OTEL_EXPORTER_OTLP_ENDPOINT.",
        ),
        ("OTEL_TRACES_SAMPLER_RATIO", "0.5", "unread-variable", "OTEL_TRACES_SAMPLER"),
        ("OTEL_PROPAGATORS", "b4", "bad-propagator", "OTEL_PROPAGATORS"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon", "bad-value", "OTEL_BSP_SCHEDULE_DELAY=1000"),
        ("OTEL_TRACES_SAMPLER", "sometimes", "bad-sampler", "parentbased_always_on"),
        ("OTEL_SAMPLING_RATE", "0.5", "alias", "OTEL_SAMPLING_RATE"),
        (
            "OTEL_TRACES_SAMPLER_ARG",
            "0.5",
            "ignored-variable",
            "OTEL_TRACES_SAMPLER=parentbased_traceidratio",
        ),
        ("OTEL_CONFIG_FILE", "/otel.yaml", "unread-variable", "remove OTEL_CONFIG_FILE"),
        ("ENVIRONMENT", "prod", "unread-variable", "deployment.environment"),
    ],
)
def test_one_bad_variable(doctor, collector, name, value, kind, cure):
    """Each wrong variable is one finding about it, with a cure."""
    report = doctor(**collector, **{name: value})
    assert report["ids"] == [kind], report["findings"]
    (finding,) = report["findings"]
    assert finding["subject"] == name
    assert cure in finding["cure"]
    assert report["code"] == 1


def test_a_bad_ratio(doctor, collector):
    """A percentage is written as the ratio."""
    ratio = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "1%"}
    report = doctor(**collector, **ratio)
    assert report["ids"] == ["bad-ratio"]
    assert "OTEL_TRACES_SAMPLER_ARG=0.01" in report["findings"][0]["cure"]


def test_a_bad_endpoint(doctor):
    """The endpoint is no address; the default one, where nothing listens, is checked too."""
    report = doctor(OTEL_EXPORTER_OTLP_ENDPOINT="collector:port")
    assert "bad-endpoint" in report["ids"]


def test_the_port_of_another_protocol(doctor):
    """The port is doubted where it is not tried, which shows what is there."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
    assert doctor(**environ, OTEL_TRACES_EXPORTER="console")["ids"] == ["bad-endpoint"]
    assert "bad-endpoint" not in doctor(OTEL_TRACES_EXPORTER="otlp")["ids"]


@pytest.mark.parametrize(
    ("environ", "kind"),
    [
        ({"OTEL_SDK_DISABLED": "true"}, "sdk-disabled"),
        ({"OTEL_ENABLED": "false"}, "sdk-disabled"),
        ({"OTEL_TRACES_EXPORTER": "none"}, "exporter-none"),
        ({"OTEL_TRACES_SAMPLER": "always_off"}, "sampler-off"),
        ({"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, "sampler-off"),
    ],
    ids=str,
)
def test_no_span_is_exported(doctor, collector, environ, kind):
    """Settings under which no span leaves the process are findings."""
    report = doctor(**collector, **environ)
    assert kind in report["ids"]
    assert report["code"] == 1


def test_strict_mode_reports(doctor, collector):
    """In strict mode, too, wrong settings are findings."""
    assert doctor(**collector, ECO2_TRACING_STRICT="true", OTEL_BSP_SCHEDULE_DELAY="x")["ids"] == [
        "bad-value"
    ]


def test_a_service_without_name(doctor, collector):
    """In Kubernetes, the name of the service belongs into the Deployment."""
    del collector["OTEL_SERVICE_NAME"]
    report = doctor(**collector, KUBERNETES_SERVICE_HOST="10.0.0.1", K8S_POD_NAME="auth-1")
    assert report["ids"] == ["no-service-name"]


def test_a_pod_that_is_not_named(doctor, collector):
    """In Kubernetes, spans say which pod they are from."""
    report = doctor(**collector, KUBERNETES_SERVICE_HOST="10.0.0.1")
    assert report["ids"] == ["downward-api"]


def test_a_queue_that_is_too_small(doctor, collector):
    """More spans end between two exports than fit into the queue."""
    report = doctor("--spans-per-second", "5000", **collector)
    assert report["ids"] == ["queue-too-small"]
    assert "OTEL_BSP_MAX_QUEUE_SIZE=8192" in report["findings"][0]["cure"]
    assert doctor("--spans-per-second", "100", **collector)["ok"]
    facts = Facts({}, load_settings(environ={"OTEL_BSP_MAX_QUEUE_SIZE": "8192"}), spans_per_second=5000)
    assert not list(check_queue(facts))


def test_sources_and_secrets(doctor, collector, shop):
    """Each setting has its value and its source; credentials are masked."""
    target = shop(
        "from eco2_tracing import configure_tracing, instrument_app\nfrom fastapi import FastAPI\n"
        "configure_tracing(service_name='shop', service_version='1.2')\napp = FastAPI()\ninstrument_app(app)\n"
    )
    del collector["OTEL_SERVICE_NAME"]
    report = doctor(
        "--", "uvicorn", target, **collector, OTEL_SAMPLING_RATE="1", OTEL_EXPORTER_OTLP_HEADERS="api-key=planted",
        OTEL_BSP_SCHEDULE_DELAY="500",
    )  # fmt: skip
    assert "planted" not in str(report)
    rows = {each["name"]: each for each in report["settings"]}
    assert len(rows) == len(report["settings"])  # a variable that several settings read has one row
    sources = {name: row["source"] for name, row in rows.items()}
    assert sources["OTEL_SERVICE_NAME"] == sources["service.version"] == "argument"
    assert sources["OTEL_BSP_SCHEDULE_DELAY"] == sources["OTEL_EXPORTER_OTLP_ENDPOINT"] == "environment"
    assert sources["OTEL_TRACES_SAMPLER"] == "alias OTEL_SAMPLING_RATE"
    assert sources["OTEL_BSP_MAX_QUEUE_SIZE"] == "default"
    assert rows["OTEL_SERVICE_NAME"]["value"] == "shop"
    assert set(rows["OTEL_SERVICE_NAME"]) == {"name", "value", "source"}
    assert set(report) - {"ids", "code"} == {"ok", "findings", "settings"}
    assert set(report["findings"][0]) == {"id", "severity", "subject", "found", "problem", "cure"}
