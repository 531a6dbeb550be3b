"""Write docs/reference/: a page for each public function, from its docstring.

    python docs/build_reference.py           # writes the pages
    python docs/build_reference.py --check   # exits with 1 where a page is not what it would write

The examples of docstrings assume `import autograd_core as ac` and `import numpy as np`; pages say
so, and the test suite runs them. A docstring has a summary, paragraphs, and sections ("Args:").
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import autograd_core as ac

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "reference"
NAMESPACES = ("", "linalg", "fft", "special")
IMPORTS = ">>> import numpy as np\n>>> import autograd_core as ac\n"
SECTIONS = ("Args:", "Returns:", "Raises:", "Attributes:")


class Entry(NamedTuple):
    """A public function: its full name after `autograd_core.`, and itself."""

    name: str
    function: Callable

    @property
    def page(self) -> str:
        return f"{self.name}.md"

    @property
    def source(self) -> str:
        """The module that declares it: that of elementwise functions is told by their family."""
        name = self.name.rpartition(".")[2]
        for family in ac.ops.FAMILIES:
            if name in family.__all__ and getattr(family, name) is self.function:
                return family.__name__
        return inspect.unwrap(self.function).__module__

    @property
    def summary(self) -> str:
        text = inspect.getdoc(self.function) or ""
        return " ".join(text.split("\n\n")[0].split())


def entries() -> Iterator[Entry]:
    """Every public function, each namespace in alphabetical order."""
    for namespace in NAMESPACES:
        space = getattr(ac, namespace) if namespace else ac
        for name in sorted(space.__all__):
            found = getattr(space, name)
            if callable(found) and not inspect.isclass(found) and not name.startswith("_"):
                yield Entry(f"{namespace}.{name}" if namespace else name, found)


# A page ---------------------------------------------------------------------------------------


def page_of(entry: Entry, names: dict[Callable, list[str]]) -> str:
    """The text of a page."""
    others = [f"`{name}`" for name in names[entry.function] if name != entry.name]
    facts = [f"Declared in [`{path_of(entry.source)}`](../../{path_of(entry.source)})."]
    if others:
        facts.insert(0, f"Also called {', '.join(others)}.")
    body = "\n\n".join(formatted(inspect.getdoc(entry.function) or ""))
    return f"# `ac.{entry.name}{signature_of(entry.function)}`\n\n{body}\n\n{' '.join(facts)}\n"


def signature_of(function: Callable) -> str:
    """The parameters, without annotations: what they are is said in words."""
    signature = inspect.signature(function)
    plain = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    text = str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))
    return re.sub(r"<(?:class|function) '?([\w.]+)'?[^>]*>", r"\1", text)


def path_of(module: str) -> str:
    path = ROOT / Path(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return str(path.relative_to(ROOT))


def formatted(text: str) -> Iterator[str]:
    """The paragraphs of a docstring as Markdown."""
    for block in re.split(r"\n\n+", text.strip()):
        if block.lstrip().startswith(">>>"):
            yield f"```pycon\n{IMPORTS}{textwrap.dedent(block)}\n\n```"
        elif block.split("\n")[0] in SECTIONS:
            yield "\n".join(section(block))
        else:
            yield block if not block.startswith("    ") else f"```\n{textwrap.dedent(block)}\n```"


def section(block: str) -> Iterator[str]:
    """A section of a docstring: a heading, and an entry in a list for each `name: text`."""
    heading, *lines = block.split("\n")
    yield f"**{heading.rstrip(':')}**\n"
    for line in textwrap.dedent("\n".join(lines)).split("\n"):
        named = re.match(r"([\w*.,() ]+): (.*)", line)
        if named and not line.startswith(" "):
            yield f"- `{named[1]}`: {named[2]}"
        else:
            yield f"  {line.strip()}" if line.startswith(" ") else line


# All pages ------------------------------------------------------------------------------------


def index_of(found: list[Entry]) -> str:
    """The list of all pages, by namespace."""
    lines = ["# Reference", "", "A page for each function, written by `docs/build_reference.py`."]
    for namespace in NAMESPACES:
        lines += ["", f"## `ac.{namespace}`" if namespace else "## `ac`", ""]
        for entry in found:
            if entry.name.rpartition(".")[0] == namespace:
                lines.append(f"- [`{entry.name}`]({entry.page}): {entry.summary}")
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """The text of every page, by the file's name."""
    found = list(entries())
    names: dict[Callable, list[str]] = {}
    for entry in found:
        names.setdefault(entry.function, []).append(entry.name)
    written = {entry.page: page_of(entry, names) for entry in found}
    return {"README.md": index_of(found), **written}


def main(check: bool) -> int:
    wanted = pages()
    present = {path.name: path.read_text() for path in PAGES.glob("*.md")}
    stale = sorted(name for name in wanted | present if wanted.get(name) != present.get(name))
    if check:
        print("\n".join(f"docs/reference/{name} is not up to date" for name in stale))
        return bool(stale)
    PAGES.mkdir(exist_ok=True)
    for name in stale:
        if name in wanted:
            (PAGES / name).write_text(wanted[name])
        else:
            (PAGES / name).unlink()
    print(f"{len(wanted)} pages, {len(stale)} written")
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
