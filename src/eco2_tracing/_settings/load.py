"""Loads the settings of this process and reports what is wrong with them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from eco2_tracing._guard import warn_once
from eco2_tracing._settings.fields import SERVICE_FACTS, Settings
from eco2_tracing._settings.near_misses import is_generic, is_superfluous
from eco2_tracing._settings.problem import raise_wrong, shown_argument
from eco2_tracing._settings.source import read_fields

if TYPE_CHECKING:
    from eco2_tracing._settings.model import TracingSettings
    from eco2_tracing._settings.problem import Problem


def load_settings(
    settings: TracingSettings | None = None,
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
        environment: The deployment environment; see ``service_name``.
        resource_attributes: Names of resource attributes that are set in code.
        environ: The variables.

    Raises:
        ConfigurationError: In strict mode, with every problem.
        TypeError: The settings given are something else.
    """
    if settings is not None and not issubclass(type(settings), Settings):
        raise TypeError(
            f"settings takes a TracingSettings, such as TracingSettings(), not {shown_argument(settings)}"
        )
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
    """Log one WARNING for each problem of settings and ``further`` ones, once in a process.

    Args:
        settings: The settings; those read in strict mode hold only doubts.
        further: More problems of the same settings.
        generic: Include names that applications use for themselves.

    Raises:
        ConfigurationError: In strict mode, if a problem is more than a doubt.
    """
    problems = [each for each in (*settings.problems, *further) if generic or not is_generic(each)]
    if settings.strict:
        raise_wrong(problems)
    for problem in problems:
        warn_once(f"setting:{problem.message}", "%s", problem.message)
