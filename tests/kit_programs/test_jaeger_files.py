"""Jaeger's own check of the kit's configurations, which needs no server."""

from __future__ import annotations

import os
import re

import pytest
import yaml

from tests.support.kit import jaeger_files, name, program, run

JAEGER = "Jaeger 2.20"
_REFERENCE = re.compile(r"\$\{env:(\w+)")


def validate(path):
    """The exit status and the message of `jaeger validate`."""
    environ = os.environ | dict.fromkeys(_REFERENCE.findall(path.read_text()), "value")
    done = run(program("jaeger", JAEGER), "validate", f"--config={path}", env=environ)
    return done.returncode, done.stderr


@pytest.mark.parametrize("path", jaeger_files(), ids=name)
def test_configuration_is_valid(path):
    """By `jaeger validate`."""
    assert validate(path)[0] == 0, validate(path)[1]


@pytest.mark.parametrize("path", jaeger_files(), ids=name)
def test_wrong_field_is_not(path, tmp_path):
    """A field that Jaeger does not know is found."""
    wrong = yaml.safe_load(path.read_text())
    wrong["extensions"]["jaeger_storage"]["backend"] = {}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(wrong))
    status, message = validate(tmp_path / "config.yaml")
    assert status != 0
    assert "backend" in message
