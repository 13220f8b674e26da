"""The page of settings, from their table."""

from __future__ import annotations

from collections.abc import Iterator

from eco2_tracing._settings.reference import SECTIONS, Setting

INTRODUCTION = """\
# Settings

Every variable that eco2-tracing reads, with its default, unit and an example. Set variables in the environment of the
process, or pass the argument to `TracingSettings`:

```python
from eco2_tracing import TracingSettings, configure_tracing

settings = TracingSettings(traces_sampler="parentbased_traceidratio", traces_sampler_arg=0.01)
configure_tracing(settings=settings)
```

The environment overrides the arguments of `configure_tracing`, and explicit `settings=` override the environment.
[Configuration](../configuration.md) explains precedence and wrong values. Variables of the specification take `true` as
the only word for true. Those of eco2-tracing take `1`, `yes` and `on` too.

<!-- Written by `python -m website` from src/eco2_tracing/_settings/reference. -->
"""


def page() -> str:
    """The Markdown of the page."""
    lines = [INTRODUCTION, *overview(), *(line for name in SECTIONS for line in section(name))]
    return "\n".join(lines).rstrip() + "\n"


def overview() -> Iterator[str]:
    """One table of all variables."""
    yield "## All variables\n"
    yield "| variable | default |\n|---|---|"
    for rows in SECTIONS.values():
        for row in rows:
            for variable in row.variables[:1]:
                yield f"| [`{variable}`](#{variable.lower()}) | {row.shown_default or 'none'} |"
    yield ""


def section(name: str) -> Iterator[str]:
    """The lines of one section."""
    yield f"## {name}\n"
    for row in SECTIONS[name]:
        if row.variables:
            yield from entry(row)
        else:
            yield f"- `{row.name}`: {row.effect}"
    if not SECTIONS[name][-1].variables:
        yield ""


def entry(row: Setting) -> Iterator[str]:
    """The lines of one variable."""
    variable, *others = row.variables
    yield f"### {variable}\n\n{row.effect}\n"
    facts = {
        "Default": " ".join(
            filter(None, (row.shown_default or "none", row.unit if row.shown_default else ""))
        ),
        "Unit": "" if row.shown_default else row.unit,
        "Example": f"`{row.example}`" if row.example else "",
        "Also": ", ".join(f"`{other}`, which overrides it" for other in others),
        "Defined by": row.defined_by,
        "Specified default": f"`{row.specified}`" if row.specified else "",
        "Argument": "" if row.name.isupper() else f"`{row.name}`",
    }
    yield from (f"- **{name}**: {value}" for name, value in facts.items() if value)
    yield ""
