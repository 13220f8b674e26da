"""Resolves the OTLP variables of each signal to one destination, and reports what looks like a mistake in them.

Rules: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from eco2_tracing._settings.display import masked_reprs
from eco2_tracing._settings.otlp import Endpoint, OtlpSettings, Reading, default_endpoint, read_endpoint
from eco2_tracing._settings.parse import SecretHeaders
from eco2_tracing._settings.problem import BadValueError, Findings

if TYPE_CHECKING:
    from eco2_tracing._settings.otlp import Protocol

Find = Callable[[Iterable[str]], "tuple[str, str] | None"]
_FILES = ("certificate", "client_certificate", "client_key")


def resolve_otlp(values: Mapping[str, Any], find: Find, findings: Findings) -> dict[str, object]:
    """Return the fields that depend on several OTLP variables: on the values read so far, and on their texts.

    Problems of metrics and logs are reported only if these are exported over OTLP.
    """
    found = _Destination("TRACES", "", values, find, findings).fields()
    for signal in ("metrics", "logs"):
        reported = findings if "otlp" in values.get(f"{signal}_exporter", ()) else Findings()
        found |= _Destination(signal.upper(), f"_{signal}", values, find, reported).fields()
    return found


class _Destination:
    """Resolves the destination of one signal.

    Args:
        signal: The part of the variables that names it.
        suffix: The part of the fields that names it.
        values: The values read so far.
        find: Finds the text of the first variable that is set.
        findings: Collects problems.
    """

    def __init__(
        self, signal: str, suffix: str, values: Mapping[str, Any], find: Find, findings: Findings
    ) -> None:
        self._signal, self._suffix = signal, suffix
        self._values, self._find, self._findings = values, find, findings

    def fields(self) -> dict[str, object]:
        """Return the fields of the destination."""
        headers = SecretHeaders(self._value("headers") or {})
        files = {name: self._value(name) for name in _FILES}
        if bool(files["client_certificate"]) != bool(files["client_key"]):
            complaint = "a client certificate and its key go together, the other is not set"
            for name in ("CLIENT_CERTIFICATE", "CLIENT_KEY"):
                if found := self._reportable(name):
                    self._findings.replaced(*found, complaint, None)
            files["client_certificate"] = files["client_key"] = None
        self._check_files(files)
        endpoint = self._endpoint(guarded=bool(headers) or any(files.values()))
        if endpoint.authorization:
            headers.setdefault("authorization", endpoint.authorization)
        otlp = OtlpSettings(
            protocol=self._protocol,
            endpoint=endpoint.address,
            insecure=endpoint.insecure,
            headers=headers,
            timeout_s=self._timeout_s(),
            compression=self._value("compression") or "none",
            **masked_reprs(files),
        )
        prefix = f"exporter_otlp{self._suffix}_"
        return {f"otlp{self._suffix}": otlp, f"{prefix}headers": headers, f"{prefix}endpoint": endpoint.text}

    def _value(self, name: str) -> Any:
        return self._values.get(f"exporter_otlp{self._suffix}_{name}")

    @property
    def _protocol(self) -> Protocol:
        return self._value("protocol") or "grpc"

    def _names(self, name: str) -> tuple[str, str]:
        return f"OTEL_EXPORTER_OTLP_{self._signal}_{name}", f"OTEL_EXPORTER_OTLP_{name}"

    def _reportable(self, name: str) -> tuple[str, str] | None:
        """Return the variable that is set, with its text; ``None`` if the traces have reported it."""
        found = self._find(self._names(name))
        return None if found and self._suffix and self._signal not in found[0] else found

    def _endpoint(self, *, guarded: bool) -> Endpoint:
        protocol = self._protocol
        found = self._find(self._names("ENDPOINT"))
        if found is None:
            return default_endpoint(protocol, self._signal)
        variable, text = found
        reading = Reading(
            protocol=protocol,
            signal_form=f"_{self._signal}_" in variable,
            insecure=self._value("insecure"),
            guarded=guarded,
            targets=self._values.get("propagation_targets", ()),
            signal=self._signal,
        )
        reportable = self._reportable("ENDPOINT")
        try:
            endpoint = read_endpoint(text, reading)
        except BadValueError as bad:
            endpoint = default_endpoint(protocol, self._signal)
            if reportable:
                self._findings.replaced(variable, text, bad.complaint, endpoint.address)
        if endpoint.doubt and reportable:
            self._findings.doubted(variable, text, endpoint.doubt)
        return endpoint

    def _timeout_s(self) -> float:
        milliseconds: int = self._value("timeout") or 10_000
        found = self._reportable("TIMEOUT")
        if found is not None and milliseconds < 100:
            complaint = f"it means {milliseconds} milliseconds, as specified"
            other = f"stock Python reads {milliseconds} seconds, which would be {milliseconds}000 here"
            self._findings.doubted(*found, f"{complaint}; {other}")
        return milliseconds / 1000

    def _check_files(self, files: Mapping[str, str | None]) -> None:
        for name, path in files.items():
            found = self._reportable(name.upper())
            # A path that exists with a slash behind it is a directory.
            if path and found and (os.access(f"{path}/", os.F_OK) or not os.access(path, os.R_OK)):
                self._findings.doubted(*found, "there is no such file that can be read")
