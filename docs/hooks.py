"""What MkDocs does beside Markdown: parts made from the code and from stored results, and files of the repository."""

from __future__ import annotations

import sys
from itertools import chain
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import ablations  # noqa: E402
import generate  # noqa: E402
import study  # noqa: E402

INCLUDED = {"changelog.md": "CHANGELOG.md", "security.md": "SECURITY.md"}


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """With the pictures and reports of the published results."""
    for name, content in chain(ablations.drawn(), *map(study.drawn, study.PUBLISHED)):
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Any) -> str:
    """The text of a page with every generated part in it."""
    name = page.file.src_uri
    if name in INCLUDED:
        return (HERE.parent / INCLUDED[name]).read_text(encoding="utf-8")
    return generate.filled(markdown)


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, files: Any) -> str:
    """The page, with code inside of lines broken where a reader would."""
    return generate.with_breaks(html)
