"""What MkDocs is told beyond mkdocs.yml: reference pages made from the code, formulas, and links as they stand in the repository.

A page links to any file of the repository by its relative path, so that it works on a code host. Of these files, Markdown becomes
a page of the site and everything else is copied; the link is turned to where the file lies there. A link that leads nowhere is
left as it is, for MkDocs to refuse.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import latex2mathml.converter
import reference
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
DOCS = "docs/"
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#|/)([^)\s#]+)")
"""The path of a link or picture within the repository."""

HOMES = {"README.md": "index.md"}
"""Files whose place in the site is another page's."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Renders fences of language `math`, which code hosts know too, as MathML."""
    fence = {"name": "math", "class": "math", "format": formula}
    config.mdx_configs["pymdownx.superfences"] = {"custom_fences": [fence]}
    return config


def formula(source: str, *_: Any, **__: Any) -> str:
    """A block of LaTeX as MathML, which browsers draw without a script."""
    return latex2mathml.converter.convert(source, display="block")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds what is made from the code, and what pages link to outside of docs/."""
    for uri, write in reference.PAGES.items():
        files.append(File.generated(config, uri, content=write()))
    waiting = [(DOCS + file.src_uri, file.content_string) for file in files.documentation_pages()]
    waiting.append(("mkdocs.yml", "".join(f"]({page})" for page in pages_of(config.nav))))
    while waiting:
        for target in linked_files(*waiting.pop()):
            uri = in_site(target)
            if files.get_file_from_path(uri) is None:
                files.append(File.generated(config, uri, abs_src_path=str(ROOT / target)))
                if target.endswith(".md"):
                    waiting.append((target, (ROOT / target).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns a page's links to where their files lie in the site."""
    uri = page.file.src_uri
    generated = page.file.generated_by is not None and page.file.abs_src_path is not None
    source = uri if generated else DOCS + uri

    def turned(match: re.Match[str]) -> str:
        target = repository_path(source, match[1])
        return posixpath.relpath(in_site(target), posixpath.dirname(uri) or ".") if is_file(target) else match[1]

    return LINK.sub(turned, markdown)


def pages_of(nav: Any) -> Iterator[str]:
    """The paths in a navigation, however deep."""
    if isinstance(nav, str):
        yield nav
    else:
        for entry in nav.values() if isinstance(nav, dict) else nav:
            yield from pages_of(entry)


def linked_files(source: str, text: str) -> Iterator[str]:
    """The files outside of docs/ that a page links to, as paths within the repository."""
    for match in LINK.finditer(text):
        target = repository_path(source, match[1])
        if not target.startswith(DOCS) and is_file(target):
            yield target


def repository_path(source: str, link: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link))


def is_file(target: str) -> bool:
    """Whether a path is a file of the repository, or a page that is made from the code."""
    return not target.startswith("..") and ((ROOT / target).is_file() or target.removeprefix(DOCS) in reference.PAGES)


def in_site(target: str) -> str:
    return HOMES.get(target, target.removeprefix(DOCS))
