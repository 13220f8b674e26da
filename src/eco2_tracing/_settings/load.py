"""Reads the settings from keywords, environment and arguments, and reports what is wrong with them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr

from eco2_tracing._early import removed
from eco2_tracing._guard import attempt_silently, warn_once
from eco2_tracing._settings.destinations import resolve_otlp
from eco2_tracing._settings.display import masked_reprs
from eco2_tracing._settings.fields import (
    ENVIRONMENT,
    KEYWORDS,
    SERVICE_FACTS,
    SERVICE_NAMES,
    SOURCES,
    VARIABLES,
    Settings,
    Source,
)
from eco2_tracing._settings.names import SAMPLER, Level, read_sampler, translate_aliases
from eco2_tracing._settings.near_misses import is_generic, is_superfluous, report_near_misses
from eco2_tracing._settings.parse import pairs
from eco2_tracing._settings.probable import unquoted
from eco2_tracing._settings.problem import (
    BadValueError,
    Findings,
    Problem,
    plain_text,
    raise_wrong,
    shown_argument,
)


def read_fields(
    keywords: Mapping[str, object],
    environ: Mapping[str, str] = os.environ,
    arguments: Mapping[str, str | None] | None = None,
    attributes: Iterable[str] = (),
) -> dict[str, object]:
    """Return the values of all fields that are not at their default; problems are collected in one of them.

    Args:
        keywords: The arguments of `TracingSettings`; they override the environment.
        environ: The environment.
        arguments: Service name, version and environment where keywords and environment do not set them.
        attributes: Names of resource attributes that are set in code.

    Raises:
        ConfigurationError: In strict mode, with all problems.
    """
    return _Reader(keywords, environ, arguments or {}).values(attributes)


class _Reader:
    """Reads the variables of three levels; the first level that sets a variable is used."""

    def __init__(
        self, keywords: Mapping[str, object], environ: Mapping[str, str], arguments: Mapping[str, str | None]
    ) -> None:
        self._findings = Findings()
        self._environ = environ
        explicit = self._explicit(keywords)
        environment = {name: value for name in VARIABLES if (value := _clean(environ.get(name, "")))}
        self._unquote(environment)
        code = {SERVICE_FACTS[key]: value for key, given in arguments.items() if (value := _text(given))}
        self._levels: tuple[Level, ...] = (explicit, environment, code)

    def values(self, attributes: Iterable[str]) -> dict[str, object]:
        translate_aliases(self._levels, self._findings)
        found = ((field, self._value(field, source)) for field, source in SOURCES.items())
        values = {field: value for field, value in found if value is not None}
        values |= self._service()
        values["error_sampling_rate_is_set"] = "error_sampling_rate" in values
        values |= read_sampler(self._found, self._findings)
        self._fit_batch(values)
        self._check_excluded_paths(values)
        values |= resolve_otlp(values, self._found, self._findings)
        report_near_misses(self._environ, self._known(values, attributes), self._findings)
        self._report_removed()
        if values.get("strict"):
            raise_wrong(self._findings.problems)
        values["problems"] = tuple(self._findings.problems)
        return masked_reprs(values)

    def _explicit(self, keywords: Mapping[str, object]) -> Level:
        level: Level = {}
        for key, given in keywords.items():
            variable = KEYWORDS.get(key.lower())
            text: str | None = attempt_silently(_text, given, default=None)
            if text is None:
                complaint = "expected text, a number, or a list or mapping of those"
                self._findings.replaced(variable or key, shown_argument(given), complaint, None)
                continue
            if variable is None:
                self._findings.replaced(key, text, "there is no such setting", None)
            elif text:
                level[variable] = text
        return level

    def _unquote(self, level: Level) -> None:
        """Remove quotation marks around a whole value: `docker --env-file` and YAML keep them as part of it."""
        for variable, text in level.items():
            if inner := unquoted(text):
                level[variable] = inner
                complaint = "the quotation marks are part of the value"
                self._findings.replaced_by(variable, text, complaint, "the value without them")

    def _known(self, values: Mapping[str, Any], attributes: Iterable[str]) -> set[str]:
        """Return the variables and resource attributes that have a value."""
        known = {*attributes, *(name for level in self._levels for name in level)}
        known |= {variable for field, variable in SERVICE_FACTS.items() if values[field]}
        known.update(values.get("resource_attributes", ()))
        return known | {ENVIRONMENT} if values.get("disabled") else known  # no span would have it

    def _report_removed(self) -> None:
        """Report the variables that `early` removed, because they name providers that are not installed."""
        for variable, text in removed.items() if self._environ is os.environ else ():
            if text := _clean(text):
                complaint = "no installed package has a provider of this name"
                self._findings.replaced(variable, text, complaint, None)

    def _found(self, variables: Iterable[str]) -> tuple[str, str] | None:
        """Return the first variable that is set, in the first level where one is, with its text."""
        for level in self._levels:
            for variable in variables:
                if variable in level:
                    return variable, level[variable]
        return None

    def _value(self, field: str, source: Source) -> object:
        """Return the value of a field; ``None`` stands for its default."""
        found = self._found(source.variables)
        if found is None:
            return None
        variable, text = found
        try:
            return source.parse(text)
        except BadValueError as bad:
            if variable == "WEB_CONCURRENCY":
                self._doubt_workers(text, bad.complaint)
            # A variable that fills several fields is reported once.
            elif all(problem.variable != variable for problem in self._findings.problems):
                used = bad.used[0] if bad.used else getattr(Settings, field)
                self._findings.replaced(variable, text, bad.complaint, used)
            return bad.used[0] if bad.used else None

    def _service(self) -> dict[str, str | None]:
        """Return name, version and environment: in each level the variable, else the resource attribute."""
        texts = (level.get("OTEL_RESOURCE_ATTRIBUTES", "") for level in self._levels)
        facts: Iterable[Mapping[str, str]] = (attempt_silently(pairs, text, default={}) for text in texts)
        levels = [{**each, **level} for each, level in zip(facts, self._levels, strict=True)]
        return {
            field: next((level[name] for level in levels for name in names if level.get(name)), None)
            for field, names in SERVICE_NAMES.items()
        }

    def _fit_batch(self, values: dict[str, Any]) -> None:
        """Keep a batch within the queue: OTEL_BSP_MAX_EXPORT_BATCH_SIZE "must be less than or equal"."""
        for kind in ("bsp", "blrp"):
            size, batch = f"{kind}_max_queue_size", f"{kind}_max_export_batch_size"
            queue: int = values.get(size, getattr(Settings, size))
            if values.get(batch, getattr(Settings, batch)) > queue:
                values[batch] = queue
                if found := self._found([f"OTEL_{batch.upper()}"]):
                    complaint = f"a batch cannot be larger than the queue (OTEL_{size.upper()}={queue})"
                    self._findings.replaced(*found, complaint, queue)

    def _doubt_workers(self, text: str, complaint: str) -> None:
        """Report a bad WEB_CONCURRENCY, which servers read too, only where a rate is shared by processes."""
        sampler = self._found([SAMPLER])
        if sampler and sampler[1].lower().endswith(("rate_limiting", "jaeger_remote")):
            complaint += "; set ECO2_TRACING_WORKERS"
            self._findings.doubted("WEB_CONCURRENCY", text, complaint, repr(Settings.workers))

    def _check_excluded_paths(self, values: Mapping[str, Any]) -> None:
        """Report a slash alone: it excludes every path, and may be meant for the page at the root."""
        found = self._found(["ECO2_TRACING_EXCLUDED_PATHS"])
        if found and not all(path.strip("/") for path in values["excluded_paths"]):
            self._findings.doubted(*found, "every path is below '/', so no request has a span")


def _text(given: object) -> str:
    """Return a keyword as the text of its variable, so that both are read by the same rules."""
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
    """Strip, and replace NUL and bytes that are not UTF-8: they cannot be logged or sent."""
    return text.strip().replace("\0", "\ufffd").encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def load_settings(
    settings: Settings | None = None,
    *,
    service_name: str | None = None,
    service_version: str | None = None,
    environment: str | None = None,
    resource_attributes: Iterable[str] = (),
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Return the settings to use: those given, else the environment, else the arguments, else the defaults.

    Args:
        settings: Explicit settings, which have read the environment.
        service_name: Used, as version and environment, where neither settings nor environment set it.
        service_version: See ``service_name``.
        environment: See ``service_name``.
        resource_attributes: Names of resource attributes that are set in code.
        environ: The environment.

    Raises:
        ConfigurationError: In strict mode, with every problem.
        TypeError: The settings given are something else.
    """
    if settings is not None and not issubclass(type(settings), Settings):
        found = shown_argument(settings)
        raise TypeError(f"settings takes a TracingSettings, such as TracingSettings(), not {found}")
    arguments = {"service_name": service_name, "service_version": service_version, "environment": environment}
    if settings is None:
        read = Settings()
        vars(read).update(read_fields({}, environ, arguments, resource_attributes))
        return read
    update: dict[str, object] = {
        key: value for key, value in arguments.items() if getattr(settings, key) is None
    }
    known = {SERVICE_FACTS[key] for key, value in update.items() if value} | set(resource_attributes)
    update["problems"] = tuple(each for each in settings.problems if not is_superfluous(each, known))
    return settings.model_copy(update=update)


def report_problems(settings: Settings, further: Iterable[Problem] = (), *, generic: bool = True) -> None:
    """Log one WARNING for each problem of the settings and for ``further`` ones, once in a process.

    Without ``generic``, problems of names that applications use for themselves are left out.

    Raises:
        ConfigurationError: In strict mode, if a problem is more than a doubt.
    """
    problems = [each for each in (*settings.problems, *further) if generic or not is_generic(each)]
    if settings.strict:
        raise_wrong(problems)
    for problem in problems:
        warn_once(f"setting:{problem.message}", "%s", problem.message)
