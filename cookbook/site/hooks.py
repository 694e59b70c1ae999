"""Pages of the site that are files of the repository, so that nothing is written twice."""

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
SOURCES = (
    "*.md",
    "LICENSE",
    "cookbook/*.md",
    "cookbook/*.ipynb",
    "cookbook/*.py",
    "cookbook/web/*.py",
    "tests/mutants.md",
    "tests/benchmarks/results.*",
    "tests/benchmarks/batch*.md",
)
"""Files that become pages, or are linked from one. Paths are kept, and so are links between them."""


@event_priority(100)  # before the plugin for notebooks
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the repository's files to the pages."""
    for pattern in SOURCES:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace a line `public: MODULE` by the reference of the module's public names, errors last."""
    lines: list[str] = []
    for line in markdown.splitlines():
        if line.startswith("public: "):
            lines += _reference(line.removeprefix("public: "))
        else:
            lines.append(line)
    return "\n".join(lines)


def on_page_content(html: str, **_: Any) -> str:
    """Show the bases of errors only; those of other classes are not public."""
    bases = r'<p class="doc doc-class-bases">(?:(?!</p>).)*?</p>'
    return re.sub(
        bases,
        lambda found: found[0] if re.search(r"(Error|Exception|Warning)<", found[0]) else "",
        html,
        flags=re.DOTALL,
    )


def _reference(module: str) -> list[str]:
    public = importlib.import_module(module)
    names = [name for name in public.__all__ if not name.startswith("_")]
    names.sort(key=lambda name: (_is_error(getattr(public, name)), name))
    return [f"\n::: {_defined(module, name)}" for name in names]


def _is_error(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Exception)


def _defined(module: str, name: str) -> str:
    """Return where a name is defined, because the packages import lazily."""
    value = getattr(importlib.import_module(module), name)
    if inspect.isclass(value) or inspect.isfunction(value):
        where = value.__module__
        if where == "datacrunch_tgi":
            where = "datacrunch_tgi._public"
        return f"{where}.{value.__qualname__}"
    return f"{module}.{name}"
