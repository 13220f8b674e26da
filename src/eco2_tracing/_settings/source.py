"""From keywords, environment and arguments to the values of the fields."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr

from eco2_tracing._errors import ConfigurationError
from eco2_tracing._settings.arguments import plain_text, shown_argument
from eco2_tracing._settings.destination import resolve_otlp
from eco2_tracing._settings.display import shielded
from eco2_tracing._settings.early import removed
from eco2_tracing._settings.fields import Settings
from eco2_tracing._settings.near_misses import report_near_misses
from eco2_tracing._settings.parse import boolean, pairs, rate
from eco2_tracing._settings.probable import SAFE_RATE, unquoted
from eco2_tracing._settings.problem import BadValueError, Findings
from eco2_tracing._settings.samplers import RATIO, read_sampler
from eco2_tracing._settings.variables import (
    ENVIRONMENT,
    KEYWORDS,
    SERVICE_FACTS,
    SERVICE_NAME,
    SERVICE_VERSION,
    SETTINGS,
    VARIABLES,
    Setting,
)

Level = dict[str, str]
ENVIRON, ARGUMENTS, ATTRIBUTES = "_environ", "_arguments", "_attributes"

_INTERNAL = (ENVIRON, ARGUMENTS, ATTRIBUTES)


def read_fields(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Read every field, and note what is wrong instead of raising.

    Args:
        keywords: What the settings were given, ``_environ``, ``_arguments`` and ``_attributes`` among it.

    Returns:
        The values of all fields that do not keep their default.

    Raises:
        ConfigurationError: In strict mode, with all problems.
    """
    return _Reading(keywords).values()


class _Reading:
    def __init__(self, keywords: Mapping[str, Any]) -> None:
        self._findings = Findings()
        self._environ: Mapping[str, str] = keywords.get(ENVIRON, os.environ)
        explicit = self._explicit({key: keywords[key] for key in keywords if key not in _INTERNAL})
        environment = {name: value for name in VARIABLES if (value := _clean(self._environ.get(name, "")))}
        self._unquote(environment)
        arguments = {
            SERVICE_FACTS[key]: value
            for key, given in keywords.get(ARGUMENTS, {}).items()
            if (value := _text(given))
        }
        self._levels: tuple[Level, ...] = (explicit, environment, arguments)
        self._given_attributes: Iterable[str] = keywords.get(ATTRIBUTES, ())

    def values(self) -> dict[str, Any]:
        self._translate_aliases()
        values = {setting.field: value for setting in SETTINGS if (value := self._value(setting)) is not None}
        values |= self._service()
        values["error_sampling_rate_is_set"] = "error_sampling_rate" in values
        values |= read_sampler(self._found, self._findings)
        self._fit_batch(values)
        self._doubt_root(values)
        values |= resolve_otlp(values, self._found, self._findings)
        settled = {name for level in self._levels for name in level}
        settled |= {variable for field, variable in SERVICE_FACTS.items() if values[field]}
        settled |= {*values.get("resource_attributes", ()), *self._given_attributes}
        if values.get("disabled"):
            settled.add(ENVIRONMENT)  # no span would have it
        report_near_misses(self._environ, settled, self._findings)
        self._report_removed()
        if values.get("strict") and (wrong := [p.message for p in self._findings.problems if not p.advisory]):
            raise ConfigurationError(wrong)
        values["problems"] = tuple(self._findings.problems)
        return shielded(values)

    def _unquote(self, level: Level) -> None:
        """Remove quotation marks around a whole value: `docker --env-file` and YAML keep them as part of it."""
        for variable, text in level.items():
            inner = unquoted(text)
            if inner is not None:
                level[variable] = inner
                complaint = "the quotation marks are part of the value"
                self._findings.replaced_by(variable, text, complaint, "the value without them")

    def _report_removed(self) -> None:
        """Note what named a provider that is not there, and was taken out of this process's environment."""
        for variable, text in removed.items() if self._environ is os.environ else ():
            if text := _clean(text):
                self._findings.replaced(
                    variable, text, "no installed package has a provider of this name", None
                )

    def _explicit(self, keywords: Mapping[str, Any]) -> Level:
        level: Level = {}
        for key, given in keywords.items():
            variable = KEYWORDS.get(key.lower())
            try:
                text = _text(given)
            except BaseException:  # noqa: BLE001 - the object is the application's
                self._findings.replaced(
                    variable or key,
                    shown_argument(given),
                    "expected text, a number, or a list or mapping of those",
                    None,
                )
                continue
            if variable is None:
                self._findings.replaced(key, text, "there is no such setting", None)
            elif text:
                level[variable] = text
        return level

    def _found(self, variables: Iterable[str]) -> tuple[str, str] | None:
        """Find the first variable that is set, in the first level where one is."""
        for level in self._levels:
            for variable in variables:
                if variable in level:
                    return variable, level[variable]
        return None

    def _value(self, setting: Setting) -> Any:
        """Read one setting; None keeps the model's default."""
        found = self._found(setting.variables)
        if found is None:
            return None
        variable, text = found
        try:
            return setting.parse(text)
        except BadValueError as bad:
            if variable == "WEB_CONCURRENCY":
                self._doubt_workers(variable, text, bad.complaint)
            # A variable that fills several fields is told once.
            elif all(problem.variable != variable for problem in self._findings.problems):
                used = bad.used[0] if bad.used else self._default(setting.field)
                self._findings.replaced(variable, text, bad.complaint, used)
            return bad.used[0] if bad.used else None

    def _default(self, field: str) -> Any:
        return getattr(Settings, field)

    def _translate_aliases(self) -> None:
        """Give the older names OTEL_ENABLED and OTEL_SAMPLING_RATE their meaning, unless others say it already."""
        for index, level in enumerate(self._levels):
            above = self._levels[: index + 1]
            if enabled := level.get("OTEL_ENABLED"):
                self._translate_enabled(level, enabled, any("OTEL_SDK_DISABLED" in one for one in above))
            if ratio := level.get("OTEL_SAMPLING_RATE"):
                self._translate_ratio(level, ratio, any("OTEL_TRACES_SAMPLER" in one for one in above))

    def _translate_enabled(self, level: Level, text: str, beaten: bool) -> None:
        name, proper = "OTEL_ENABLED", "OTEL_SDK_DISABLED"
        if beaten:
            self._findings.supplanted(name, text, f"{proper} is set and wins", proper)
            return
        try:
            disabled = "false" if boolean(text) else "true"
        except BadValueError as bad:
            enabled = not bad.used or bool(bad.used[0])
            self._findings.replaced(name, text, bad.complaint, used=enabled)
            if not enabled:
                level[proper] = "true"
            return
        level[proper] = disabled
        self._findings.supplanted(name, text, "an older name", f"{proper}={disabled}")

    def _translate_ratio(self, level: Level, text: str, beaten: bool) -> None:
        name, proper, argument = "OTEL_SAMPLING_RATE", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
        if beaten:
            self._findings.supplanted(name, text, f"{proper} is set and wins", proper)
            return
        level[proper] = RATIO
        try:
            rate(text)
        except BadValueError as bad:
            ratio = level.setdefault(argument, f"{bad.used[0] if bad.used else SAFE_RATE:.10g}")
            self._findings.replaced_by(
                name, text, f"an older name; {bad.complaint}", f"{proper}={RATIO} {argument}={ratio!r}"
            )
            return
        ratio = level.setdefault(argument, text)
        self._findings.supplanted(name, text, "an older name", f"{proper}={RATIO} {argument}={ratio!r}")

    def _service(self) -> dict[str, Any]:
        """Find name, version and environment: in each level the variable first, then the resource attributes."""
        name = version = environment = None
        for level in self._levels:
            facts = _facts(level.get("OTEL_RESOURCE_ATTRIBUTES", ""))
            name = name or level.get(SERVICE_NAME) or facts.get("service.name")
            version = version or level.get(SERVICE_VERSION) or facts.get("service.version")
            named = level.get(ENVIRONMENT) or facts.get(ENVIRONMENT) or facts.get("deployment.environment")
            environment = environment or named
        return {"service_name": name, "service_version": version, "environment": environment}

    def _fit_batch(self, values: dict[str, Any]) -> None:
        """Keep a batch within the queue: OTEL_BSP_MAX_EXPORT_BATCH_SIZE "must be less than or equal"."""
        queue = values.get("bsp_max_queue_size", self._default("bsp_max_queue_size"))
        batch = values.get("bsp_max_export_batch_size", self._default("bsp_max_export_batch_size"))
        if batch <= queue:
            return
        values["bsp_max_export_batch_size"] = queue
        if found := self._found(["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"]):
            complaint = f"a batch cannot be larger than the queue (OTEL_BSP_MAX_QUEUE_SIZE={queue})"
            self._findings.replaced(*found, complaint, queue)

    def _doubt_workers(self, variable: str, text: str, complaint: str) -> None:
        """Report a bad number of processes where a rate is shared by them: others read the variable, too."""
        sampler = self._found(["OTEL_TRACES_SAMPLER"])
        if sampler and sampler[1].lower().endswith(("rate_limiting", "jaeger_remote")):
            complaint = f"{complaint}; set ECO2_TRACING_WORKERS"
            self._findings.supplanted(variable, text, complaint, repr(self._default("workers")))

    def _doubt_root(self, values: Mapping[str, Any]) -> None:
        """Ask whether all requests were meant: whoever writes a slash alone may mean the page at the root."""
        found = self._found(["ECO2_TRACING_EXCLUDED_PATHS"])
        if found and not all(entry.strip("/") for entry in values["excluded_paths"]):
            self._findings.doubted(*found, "every path is below '/', so no request has a span")


def _facts(text: str) -> Mapping[str, str]:
    try:
        return pairs(text)
    except BadValueError:
        return {}


def _text(given: object) -> str:
    """Write a keyword as its variable would hold it, so that both are read by the same rules."""
    match given:
        case None:
            return ""
        case bool():
            return str(given).lower()
        case SecretStr():
            return _clean(given.get_secret_value())
        case Mapping():
            return ",".join(f"{_quoted(key)}={_quoted(value)}" for key, value in given.items())
        case list() | tuple():
            return ",".join(map(_text, given)) or ","
        case set() | frozenset():
            return ",".join(sorted(map(_text, given))) or ","
    return _clean(plain_text(given))


def _quoted(given: object) -> str:
    return quote(_text(given), safe="/{}:")


def _clean(text: str) -> str:
    """Strip, and mend what no environment holds as text: bytes that are not UTF-8, and NUL."""
    return text.strip().replace("\0", "\ufffd").encode("utf-8", "surrogatepass").decode("utf-8", "replace")
