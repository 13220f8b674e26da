"""The measures of sentences see what they are meant to see."""

from __future__ import annotations

import pytest

from tests.repository.prose import Sentence, measures, sentences

PAGE = """# A heading is none.

The first sentence has `code in it` and [a link](page.md), e.g. this one. The second
is on two lines.

| a table | is none. |
|---|---|

- An item ends with a full stop.
- an item without one is none
<!-- A comment is none. -->

```python
A = "Code is none."
```

    An indented block belongs to its list.
"""


def of(text: str) -> Sentence:
    return Sentence("page.md", 1, text)


def test_sentences_of_a_page():
    """Headings, tables, code and comments are left out, and each sentence has its line."""
    found = [(each.line, each.text) for each in sentences("page.md", PAGE)]
    assert found == [
        (3, "The first sentence has ` and a link, eg this one."),
        (3, "The second is on two lines."),
        (9, "An item ends with a full stop."),
        (17, "An indented block belongs to its list."),
    ]


@pytest.mark.parametrize(
    ("text", "is_passive"),
    [
        ("Spans are exported by a thread.", True),
        ("Each span is then always kept.", True),
        ("A thread exports the spans.", False),
        ("The rate is limited.", False),
    ],
)
def test_passive(text, is_passive):
    """A form of be and a participle."""
    assert of(text).is_passive is is_passive


@pytest.mark.parametrize(
    ("text", "has_none"),
    [
        ("Measured on two cores.", True),
        ("Replaces the default list.", True),
        ("Other servers and more than one core.", True),
        ("Set the variable in the Deployment.", False),
        ("Requests join the trace of their caller.", False),
        ("The variables, highest first:", False),
    ],
)
def test_without_subject(text, has_none):
    """An inflected verb at the beginning, or no verb."""
    assert of(text).has_no_subject is has_none


def test_measures():
    """Longest, mean, and the share of both kinds."""
    line = measures([of("Spans are exported by a thread."), of("It sends them.")])
    assert line.startswith(
        "2 sentences, longest 6 words, mean 4.5, over 25 words 0, passive or without subject 50%"
    )
