"""Names that applications use for themselves, where they would have changed nothing."""

from __future__ import annotations

import logging

import pytest

from eco2_tracing._settings import TracingSettings
from eco2_tracing._settings.load import report_problems


@pytest.mark.parametrize("generic", [True, False])
def test_generic_names(caplog, generic):
    """ENVIRONMENT is a warning only where it might have been meant; a wrong value always is."""
    settings = TracingSettings(_environ={"ENVIRONMENT": "dev", "OTEL_LOG_LEVEL": "loud"})
    with caplog.at_level(logging.WARNING):
        report_problems(settings, generic=generic)
    told = "\n".join(caplog.messages)
    assert ("ENVIRONMENT" in told) is generic
    assert "OTEL_LOG_LEVEL" in told
