"""docs/reference/ is what `docs/build_reference.py` writes, and every docstring has what it needs.

`test_docs.py` runs the examples of the pages.
"""

import doctest
import importlib.util
import re
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "build_reference.py"


def load():
    spec = importlib.util.spec_from_file_location("build_reference", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference = load()
ENTRIES = list(reference.entries())
PAGES = reference.pages()


def test_pages_are_up_to_date():
    stale = reference.stale_pages(PAGES)
    assert not stale, f"docs/reference/: {', '.join(stale)}; run `{reference.COMMAND}`"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_docstring(entry):
    summary, *_ = entry.text.split("\n\n")
    assert summary.rstrip().endswith((".", ":")) and not summary.startswith(
        ("`" + entry.short, ">")
    )
    assert all(len(line) <= 100 for line in summary.split("\n"))
    examples = doctest.DocTestParser().get_examples(entry.text)
    assert examples, "no example"
    assert any(example.want for example in examples), "an example that shows nothing"
    assert not re.search(r"import|autograd_core\.\w+\(", "".join(e.source for e in examples))
    assert not any(example.indent for example in examples), "examples stand at the margin"
    after = entry.text.split("\n\n")[-1]
    assert after.startswith(">>> "), "examples come last"


def test_links_lead_to_pages():
    for name, text in PAGES.items():
        targets = re.findall(
            r"\]\(([^)#]+)\)", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
        )
        for target in targets:
            assert target in PAGES or (reference.PAGES / target).exists(), f"{name}: {target}"


def test_the_standards_names_are_all_here():
    for namespace, names in reference.STANDARD.items():
        prefix = f"{namespace}." if namespace else ""
        missing = {prefix + name for name in names.split()} - {entry.name for entry in ENTRIES}
        assert not missing


def test_what_pages_say_of_a_primitive():
    assert "Derivatives: of any order" in PAGES["sin.md"] and "numbers: taken" in PAGES["sin.md"]
    assert "Derivatives: none flows" in PAGES["floor.md"]
    assert "Complex numbers: refused" in PAGES["erf.md"]
    assert PAGES["floor.md"].startswith("# `ac.floor(x, /)`\n")
    assert not re.search(r"0x[0-9a-f]{6}", "".join(PAGES.values()))
    for name, other in (("acos", "arccos"), ("lgamma", "special.gammaln")):
        assert f"[`ac.{other}`]({other}.md)" in PAGES[f"{name}.md"]


def test_check_tells_a_stale_page(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(reference, "PAGES", tmp_path)
    assert reference.main(check=False) == 0 and reference.main(check=True) == 0
    (tmp_path / "sin.md").write_text("old")
    (tmp_path / "gone.md").write_text("of a function that is no more")
    capsys.readouterr()
    assert reference.main(check=True) == 1
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "docs/reference/gone.md",
        "docs/reference/sin.md",
    ]
    assert reference.main(check=False) == 0 and reference.main(check=True) == 0
    assert not (tmp_path / "gone.md").exists()
