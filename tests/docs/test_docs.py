"""Every Python example of the README and of docs/ is run, and prints what the page says."""

import doctest
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    page
    for pattern in ("*.md", "[a-z]*/README.md", "docs/**/*.md")
    for page in sorted(ROOT.glob(pattern))
    if re.search(r"^```(python|pycon)$", page.read_text(), re.MULTILINE)
]


def blocks(page: Path) -> list[tuple[str, str]]:
    """The (language, text) of each fenced block of Python, in order."""
    return re.findall(r"^```(python|pycon)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_run_and_print_what_the_page_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "__main__"}
    failures: list[str] = []
    runner = doctest.DocTestRunner(
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE, verbose=False
    )
    with np.printoptions(precision=4, suppress=True), np.errstate(all="ignore"):
        for number, (language, text) in enumerate(blocks(page)):
            if language == "python":
                exec(compile(text, f"{page.name} block {number}", "exec"), names)
                continue
            test = doctest.DocTestParser().get_doctest(text, names, page.name, str(page), 0)
            runner.run(test, out=failures.append, clear_globs=False)
            names.update(test.globs)
    assert not failures, "".join(failures)


def test_there_are_pages_with_examples():
    named = [
        "README",
        "tour",
        "add-a-primitive",
        "conventions",
        "checking-gradients",
        "complex-and-fft",
        "implicit-differentiation",
    ]
    assert {f"{name}.md" for name in named} <= {page.name for page in PAGES}
