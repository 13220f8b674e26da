"""Resolves the OTLP variables to one destination, and reports what looks like a mistake in them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from eco2_tracing._settings.display import masked_reprs
from eco2_tracing._settings.otlp import Endpoint, OtlpSettings, Reading, default_endpoint, read_endpoint
from eco2_tracing._settings.parse import SecretHeaders
from eco2_tracing._settings.problem import BadValueError, Findings

Find = Callable[[Iterable[str]], "tuple[str, str] | None"]
_FILES = ("certificate", "client_certificate", "client_key")


def resolve_otlp(values: Mapping[str, Any], find: Find, findings: Findings) -> dict[str, object]:
    """Return the fields that depend on several OTLP variables: on the values read so far, and on their texts."""
    headers = SecretHeaders(values.get("exporter_otlp_headers") or {})
    files = {name: values.get(f"exporter_otlp_{name}") for name in _FILES}
    if bool(files["client_certificate"]) != bool(files["client_key"]):
        for found in map(find, (_names("CLIENT_CERTIFICATE"), _names("CLIENT_KEY"))):
            if found:
                complaint = "a client certificate and its key go together, the other is not set"
                findings.replaced(*found, complaint, None)
        files["client_certificate"] = files["client_key"] = None
    _check_files(files, find, findings)
    endpoint = _endpoint(values, find, findings, guarded=bool(headers) or any(files.values()))
    if endpoint.authorization:
        headers.setdefault("authorization", endpoint.authorization)
    otlp = OtlpSettings(
        protocol=values.get("exporter_otlp_protocol", "grpc"),
        endpoint=endpoint.address,
        insecure=endpoint.insecure,
        headers=headers,
        timeout_s=_timeout_s(values, find, findings),
        compression=values.get("exporter_otlp_compression", "none"),
        **masked_reprs(files),
    )
    return {"otlp": otlp, "exporter_otlp_headers": headers, "exporter_otlp_endpoint": endpoint.text}


def _names(name: str) -> tuple[str, str]:
    return f"OTEL_EXPORTER_OTLP_TRACES_{name}", f"OTEL_EXPORTER_OTLP_{name}"


def _endpoint(values: Mapping[str, Any], find: Find, findings: Findings, *, guarded: bool) -> Endpoint:
    protocol = values.get("exporter_otlp_protocol", "grpc")
    found = find(_names("ENDPOINT"))
    if found is None:
        return default_endpoint(protocol)
    variable, text = found
    reading = Reading(
        protocol=protocol,
        traces_form="_TRACES_" in variable,
        insecure=values.get("exporter_otlp_insecure"),
        guarded=guarded,
        targets=values.get("propagation_targets", ()),
    )
    try:
        endpoint = read_endpoint(text, reading)
    except BadValueError as bad:
        endpoint = default_endpoint(protocol)
        findings.replaced(variable, text, bad.complaint, endpoint.address)
    if endpoint.doubt:
        findings.doubted(variable, text, endpoint.doubt)
    return endpoint


def _timeout_s(values: Mapping[str, Any], find: Find, findings: Findings) -> float:
    milliseconds: int = values.get("exporter_otlp_timeout", 10_000)
    found = find(_names("TIMEOUT"))
    if found is not None and milliseconds < 100:
        complaint = (
            f"it means {milliseconds} milliseconds, as specified; stock Python reads {milliseconds} seconds, "
            f"which would be {milliseconds}000 here"
        )
        findings.doubted(*found, complaint)
    return milliseconds / 1000


def _check_files(files: Mapping[str, str | None], find: Find, findings: Findings) -> None:
    for name, path in files.items():
        found = find(_names(name.upper()))
        # A path that exists with a slash behind it is a directory.
        if path and found and (os.access(f"{path}/", os.F_OK) or not os.access(path, os.R_OK)):
            findings.doubted(*found, "there is no such file that can be read")
