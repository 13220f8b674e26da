"""Hooks of mkdocs: patterns in the navigation, and links to files of the repository outside `docs/`.

A page may link to any file of the repository by its relative path, which works in a checkout. On the site each such
file has a page below `repository/`, and the links lead there.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
DOCS, PAGES = "docs/", "repository/"
LINK = re.compile(r"(?<=\]\()(?!\w+:|[#<])(?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?(?=\))")
LANGUAGES = {
    ".go": "go",
    ".js": "javascript",
    ".json": "json",
    ".py": "python",
    ".sh": "sh",
    ".toml": "toml",
    ".yaml": "yaml",
    ".yml": "yaml",
}


def expanded(nav: list[object], pages: list[str]) -> list[object]:
    """Return a navigation in which each pattern is replaced by the pages that no other entry names."""
    taken = {entry for entry in entries(nav) if "*" not in entry}

    def expand(items: list[object]) -> Iterator[object]:
        for item in items:
            if isinstance(item, dict):
                yield {
                    title: list(expand(value)) if isinstance(value, list) else value
                    for title, value in item.items()
                }
            elif isinstance(item, str) and "*" in item:
                found = [page for page in pages if page not in taken and matches(page, item)]
                taken.update(found)
                yield from found
            else:
                yield item

    return [item for item in expand(nav) if not isinstance(item, dict) or any(item.values())]


def matches(page: str, pattern: str) -> bool:
    """Whether a page is in the folder of a pattern, and its name fits."""
    return page.count("/") == pattern.count("/") and fnmatchcase(page, pattern)


def entries(nav: list[object]) -> Iterator[str]:
    """The pages and patterns of a navigation."""
    for item in nav:
        values = item.values() if isinstance(item, dict) else [item]
        for value in values:
            if isinstance(value, list):
                yield from entries(value)
            else:
                yield str(value)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Expand the patterns of the navigation."""
    docs = Path(config.docs_dir)
    pages = sorted(path.relative_to(docs).as_posix() for path in docs.rglob("*.md"))
    config.nav = expanded(config.nav or [], pages)
    return config


def site_uri(path: str) -> str | None:
    """The page or file of the site for a path in the repository; None if there is none."""
    if (path + "/").startswith(DOCS):
        return path.removeprefix(DOCS)
    if (ROOT / path).is_dir():
        return f"{PAGES}{path}/README.md"
    if not (ROOT / path).is_file():
        return None
    return PAGES + path if path.endswith(".md") else f"{PAGES}{path}.md"


def targets(source: str, text: str) -> Iterator[str]:
    """The paths in the repository, outside `docs/`, that a page links to."""
    for link in LINK.finditer(text):
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), link["path"]))
        if not path.startswith((DOCS, "..")) and site_uri(path):
            yield path


def relinked(source: str, own: str, text: str) -> str:
    """Return the text of a page with links that work on the site.

    Args:
        source: The path of the page in the repository.
        own: The path of the page on the site.
        text: Its Markdown.
    """

    def replace(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), link["path"]))
        uri = None if path.startswith("..") else site_uri(path)
        if uri is None or (source.startswith(DOCS) and path.startswith(DOCS)):
            return link[0]
        return posixpath.relpath(uri, posixpath.dirname(own)) + (link["anchor"] or "")

    return LINK.sub(replace, text)


def file_page(path: str) -> str:
    """The Markdown of the page of a file or folder of the repository, before its links are changed."""
    here = ROOT / path
    if here.is_dir():
        if (here / "README.md").is_file():
            return (here / "README.md").read_text(encoding="utf-8")
        files = sorted(each.name for each in here.iterdir() if each.is_file())
        return f"# `{path}/`\n\n" + "\n".join(f"- [{name}]({name})" for name in files) + "\n"
    text = here.read_text(encoding="utf-8")
    if path.endswith(".md"):
        return text
    return f"# `{path}`\n\n`````{LANGUAGES.get(here.suffix, 'text')}\n{text}\n`````\n"


def file_pages(pages: dict[str, str]) -> dict[str, str]:
    """Return the pages of all files of the repository that pages link to, directly or not.

    Args:
        pages: The text of each page of `docs/`, by its path in the repository.
    """
    found: dict[str, str] = {}
    waiting = [path for source, text in pages.items() for path in targets(source, text)]
    while waiting:
        path = waiting.pop()
        uri = site_uri(path) or ""
        if uri in found:
            continue
        source = f"{path}/README.md" if (ROOT / path).is_dir() else path
        text = file_page(path)
        is_text = uri.endswith("README.md") or path.endswith(".md")
        found[uri] = "---\nsearch:\n  exclude: true\n---\n\n"
        found[uri] += relinked(source, uri, text) if is_text else text
        if is_text:
            waiting += targets(source, text)
    return found


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file of the repository that a page links to."""
    from mkdocs.structure.files import File

    pages = {DOCS + page.src_uri: page.content_string for page in files.documentation_pages()}
    for uri, text in file_pages(pages).items():
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead the links of a page to the pages of files outside `docs/`."""
    uri = page.file.src_uri
    return markdown if uri.startswith(PAGES) else relinked(DOCS + uri, uri, markdown)
