"""The rewriting of the SDK's private members, with which `nox -s "tests_otel(canary)"` tests that none is used."""

from __future__ import annotations

import ast

import pytest

from tests.support.canary import Renamer, private_members

SOURCE = """
class Span:
    __slots__ = ("__dict__", "_name")
    _default = 1

    def __init__(self, name):
        self._name = name

    def name(self):
        return getattr(self, "_name")

    def _hidden(self):
        return self._default
"""


def rewritten():
    """The class above, rewritten."""
    tree = ast.parse(SOURCE)
    scope = {}
    exec(ast.unparse(ast.fix_missing_locations(Renamer(private_members([tree])).visit(tree))), scope)
    return scope["Span"]


def test_public_members_work():
    """Public members behave as before."""
    assert rewritten()("a").name() == "a"


def test_private_members_are_gone():
    """Today's private names do not exist."""
    span = rewritten()("a")
    for name in ("_name", "_hidden", "_default"):
        assert not hasattr(span, name)


def test_an_object_without_its_constructor_fails():
    """A method reads the field that only the constructor sets."""
    cls = rewritten()
    with pytest.raises(AttributeError):
        cls.name(cls.__new__(cls))
