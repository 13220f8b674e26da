"""No text about settings shows a credential, whichever variable it stands in; the settings hold what was set."""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import pickle
import warnings

import pytest
from pydantic import BaseModel, ValidationError

from eco2_tracing import ConfigurationError, TracingSettings, configure_tracing, tracing_status
from eco2_tracing._settings import load_settings, shown_endpoint
from eco2_tracing._settings.fields import VARIABLES
from eco2_tracing.logs import configure_logging

PLANTED = "s3cr3tPl4nt3d"
JWT = f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ{PLANTED}.{PLANTED}x9"
FORMS = [
    f"http://user:{PLANTED}@collector:4317",
    f"https://user:pa/{PLANTED}@collector:4317/v1/traces",
    f"user:{PLANTED}@collector:4317",
    f"https://collector:4318/v1/traces?api_key={PLANTED}",
    f"https://collector:4318/v1/traces?x={PLANTED}",
    f"https://collector:4318/v1/traces#{PLANTED}",
    f"https://collector:4318/{PLANTED}/v1/traces",
    f"https://collector:4318/token/{PLANTED}",
    f"Bearer {PLANTED}1234567",
    f"Authorization=Basic {PLANTED}1234567==",
    f"authorization: Bearer {PLANTED}",
    f"api-key={PLANTED}",
    f"team=x,api_key={PLANTED}",
    f"db.connection=postgres://u:{PLANTED}@db/x",
    f"service.name=Bearer {PLANTED}1234567",
    f"password={PLANTED}",
    f"endpoint=http://u:{PLANTED}@jaeger:5778/sampling",
    f"endpoint=http://jaeger:5778/{PLANTED}/sampling,initialSamplingRate=2",
    f"endpoint=http://jaeger:5778/sampling?token={PLANTED}",
    f"endpoint=ftp://jaeger/{PLANTED}",
    JWT,
    f"AKIA{'ABCDEFGH' * 2}",
    f"ghp_{PLANTED * 3}",
]
NAMES = sorted(VARIABLES - {"ECO2_TRACING_STRICT"})
INVENTED = [
    "OTEL_EXPORTER_OLTP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_URL",
    "OTEL_EXPORTER_OTLP_AUTH",
    "ECO2_TRACING_API_KEY",
    "ECO2_TRACING_TOKEN",
    "JAEGER_ENDPOINT",
    "ENVIRONMENT",
    "OTEL_CONFIG_FILE",
]
ALL = [*NAMES, *INVENTED]
AT_ONCE = 8
"""How many variables have the form in one environment. They are far apart in the alphabet, so they hide no other."""
SETS = [ALL[start :: len(ALL) // AT_ONCE] for start in range(len(ALL) // AT_ONCE)]


def texts(settings) -> list[str]:
    """Return every text that shows settings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydantic's older names
        older = [settings.json(), str(settings.dict())]
    return [
        repr(settings),
        str(settings),
        f"{settings}",
        repr(vars(settings)),
        repr(dict(settings)),
        repr(settings.model_dump()),
        str(settings.model_dump(mode="json")),
        settings.model_dump_json(),
        repr(copy.deepcopy(settings)),
        repr(settings.model_copy()),
        repr(settings.otlp),
        repr(settings.problems),
        *older,
    ]


def shows(text: str) -> bool:
    """Return whether a planted credential, or a part of one, is in a text, in any case."""
    return PLANTED.lower() in text.lower() or "ABCDEFGH" in text


@pytest.mark.parametrize("form", FORMS)
def test_no_form_in_any_variable(form):
    """Every variable and every kind of text, with the defaults and with another protocol and sampler."""
    for names in SETS:
        for beside in (
            {},
            {
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            },
        ):
            settings = TracingSettings(_environ={**beside, **dict.fromkeys(names, form)})
            assert [text for text in texts(settings) if shows(text)] == [], names


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize(
    "variable",
    [
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OLTP_ENDPOINT",
        "JAEGER_ENDPOINT",
    ],
)
@pytest.mark.parametrize("form", [f"collector:4318/{PLANTED}", f"collector/{PLANTED}/x?y=z", f"[/{PLANTED}"])
def test_no_path_of_an_endpoint(read, variable, protocol, form):
    """The path of an endpoint without a scheme is masked too."""
    settings = read(**{"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, variable: form})
    assert [text for text in texts(settings) if shows(text)] == []


@contextlib.contextmanager
def checked(name: str):
    """Check every text that an error shows."""
    try:
        yield
    except ConfigurationError as error:
        shown = f"{error} {error!r} {error.problems} {error.__cause__!r} {error.__context__!r}"
        if shows(shown):
            pytest.fail(f"{name}: {shown}")
        raise


@pytest.mark.parametrize("form", FORMS)
def test_strict_mode_shows_none(form):
    """Neither the error nor what it was raised from quotes a credential."""
    for name in [*NAMES, *INVENTED]:
        with contextlib.suppress(ConfigurationError), checked(name):
            load_settings(environ={"ECO2_TRACING_STRICT": "true", name: form})


@pytest.mark.parametrize("sampler", ["jaeger_remote", "rate_limiting", "parentbased_traceidratio"])
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_logged_or_in_the_status(monkeypatch, caplog, capfd, form, protocol, sampler):
    """The lines of a start, in JSON too, and `tracing_status` show none."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    for name in ("ENDPOINT", "HEADERS", "CERTIFICATE"):
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", form)
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_TRACES_SAMPLER_ARG"):
        monkeypatch.setenv(name, form)
    caplog.set_level(logging.DEBUG)
    configure_tracing()
    status = tracing_status()
    logging.getLogger("app").warning(
        "%s %r", status, TracingSettings(), extra={"settings": TracingSettings()}
    )
    assert not shows(repr(status) + repr(status.sampler) + caplog.text)


def test_the_values_work(read):
    """The attributes hold what was set."""
    settings = read(
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"https://user:{PLANTED}@collector/{PLANTED}?key={PLANTED}",
        OTEL_EXPORTER_OTLP_HEADERS=f"api-key={PLANTED}",
        OTEL_RESOURCE_ATTRIBUTES=f"api.key={PLANTED},team=auth",
        OTEL_TRACES_SAMPLER="jaeger_remote",
        OTEL_TRACES_SAMPLER_ARG=f"endpoint=http://u:{PLANTED}@jaeger:5778",
        OTEL_SERVICE_NAME=f"Bearer {PLANTED}1234567",
    )
    assert settings.otlp.endpoint == f"https://collector:443/{PLANTED}/v1/traces?key={PLANTED}".replace(
        ":443", ""
    )
    assert settings.otlp.headers["api-key"] == PLANTED
    assert settings.otlp.headers["authorization"].startswith("Basic ")
    assert settings.resource_attributes == {"api.key": PLANTED, "team": "auth"}
    assert settings.traces_sampler_arg == f"endpoint=http://u:{PLANTED}@jaeger:5778"
    assert settings.service_name == f"Bearer {PLANTED}1234567"
    assert json.loads(settings.model_dump_json())["resource_attributes"]["team"] == "auth"
    assert pickle.loads(pickle.dumps(settings)) == settings == copy.deepcopy(settings)


def test_ordinary_values_are_shown(read):
    """A value without credentials is shown as it is."""
    settings = read(
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://otel-collector.observability.svc:4318/otlp/v1beta1",
        OTEL_RESOURCE_ATTRIBUTES="team=auth,service.version=1.2.0,k8s.pod.name=auth-7d9f8b6c5d-x2x4z",
        OTEL_SERVICE_NAME="auth-api-v2",
        OTEL_TRACES_SAMPLER="parentbased_traceidratio",
        OTEL_TRACES_SAMPLER_ARG="0.25",
    )
    dumped = settings.model_dump()
    assert dumped["exporter_otlp_endpoint"] == "http://otel-collector.observability.svc:4318/otlp/v1beta1"
    assert dumped["service_name"] == "auth-api-v2"
    assert dumped["traces_sampler_arg"] == "0.25"
    assert dumped["resource_attributes"]["service.version"] == "1.2.0"
    assert dumped["resource_attributes"]["k8s.pod.name"] == "auth-7d9f8b6c5d-x2x4z"
    assert type(settings.service_name) is str


def test_pydantics_errors_show_no_input():
    """Neither a frozen model nor a wrong value of a copy quotes what it was given."""
    settings = TracingSettings(_environ={})
    with pytest.raises(ValidationError) as frozen:
        settings.service_name = PLANTED
    assert not shows(f"{frozen.value} {frozen.value!r}")

    class Holder(BaseModel):
        tracing: TracingSettings

    assert not shows(
        repr(Holder(tracing=TracingSettings(_environ={}, resource_attributes={"api_key": PLANTED})))
    )
    held = Holder(tracing=TracingSettings(_environ={}, resource_attributes={"api_key": PLANTED}))
    assert not shows(held.model_dump_json() + str(held.model_dump()))


@pytest.mark.parametrize(
    ("endpoint", "shown"),
    [
        ("localhost:4317", "localhost:4317"),
        ("http://c:4318/v1/traces", "http://c:4318/v1/traces"),
        ("http://u:p@c:4318/v1/traces?k=v#f", "http://c:4318/v1/traces"),
        ("https://c/api/default/V1/traces/", "https://c/api/default/V1/traces/"),
        ("https://c/x7/v1/traces", "https://c/**********/v1/traces"),
        ("unix:/var/run/otel.sock", "unix:/var/run/otel.sock"),
        ("dns:///collector:4317", "dns:///collector:4317"),
        ("[::1]:4317", "[::1]:4317"),
        ("", ""),
    ],
)
def test_an_endpoint_as_people_see_it(endpoint, shown):
    """Host and known words of the path; no user information, query, fragment or token."""
    assert shown_endpoint(endpoint) == shown


def test_the_json_log_shows_none(capfd):
    """Settings in a log line of the library's own format are masked, too."""
    configure_logging()
    settings = TracingSettings(_environ={}, resource_attributes={"api_key": PLANTED})
    logging.getLogger("app").warning("settings: %s", settings, extra={"tracing": settings})
    logging.getLogger("app").warning("settings: %s", settings.model_dump())
    written = capfd.readouterr()
    assert "resource_attributes" in written.out
    assert not shows(written.out + written.err)
