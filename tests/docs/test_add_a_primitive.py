"""Following docs/add-a-primitive.md in a copy of the repository: the laws find the primitive."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "add-a-primitive.md").read_text()
RIGHT = "1 / ac.square(1 + ac.absolute(x))"


def declaration() -> str:
    """The page's declaration of `softsign`."""
    return next(block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))


def run_laws(folder: Path, declared: str) -> subprocess.CompletedProcess:
    """Add a declaration to a family's file, as the page says, and run the laws on its name."""
    for name in ("autograd_core", "kernels", "tests/laws", "tests/conftest.py", "pyproject.toml"):
        (folder / name).parent.mkdir(exist_ok=True)
        if (ROOT / name).is_dir():  # without what other tests are compiling meanwhile
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder / name)
    family = folder / "autograd_core" / "ops" / "sorting.py"
    family.write_text(family.read_text() + "\n" + declared)
    command = [sys.executable, "-m", "pytest", "tests/laws/test_laws.py", "-k", "softsign", "-x"]
    environment = {**os.environ, "HYPOTHESIS_PROFILE": "unshrunk"}  # to shrink takes a minute
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)


def test_the_declaration_takes_at_most_ten_lines():
    lines = [line for line in declaration().splitlines() if line and "import" not in line]
    assert len(lines) <= 10


def test_the_laws_pick_it_up_by_themselves(tmp_path):
    done = run_laws(tmp_path, declaration())
    found = re.search(r"(\d+) passed", done.stdout)
    assert done.returncode == 0 and found and int(found[1]) > 10, done.stdout + done.stderr


@pytest.mark.parametrize("wrong", ["1 / (1 + ac.absolute(x))", f"-({RIGHT})"])
def test_and_notice_a_wrong_rule(tmp_path, wrong):
    assert RIGHT in declaration()
    done = run_laws(tmp_path, declaration().replace(RIGHT, wrong))
    assert done.returncode == 1 and "softsign" in done.stdout, done.stdout + done.stderr
