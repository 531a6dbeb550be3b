"""Type checkers are told the truth about tensors."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import autograd_core as ac
from autograd_core import typed
from autograd_core.ops import methods

USERS = Path(__file__).with_name("users.py")
WRONG = """
import autograd_core as ac
x = ac.asarray([1.0])
x + "text"
x.sums()
ac.sin()
ac.add(x)
ac.exp(x, x)
y: int = ac.sin(x)
"""


def declared() -> dict[str, ast.FunctionDef]:
    """The functions of `typed.Methods`, setters aside."""
    tree = ast.parse(Path(typed.__file__).read_text())
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {f.name: f for f in reversed(found)}


def written() -> set[str]:
    """The names in the body of the class itself."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(ac.Tensor)))
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return functions | {*ac.Tensor.__slots__, "__array_priority__", "__hash__"}


def installed() -> set[str]:
    """The names that `methods.install` gives to tensors."""
    return set(vars(ac.Tensor)) - written() - set(vars(typed.Methods)) - {"__final__", "_is_leaf"}


def test_every_method_is_declared() -> None:
    assert installed() == set(declared())


@pytest.mark.parametrize("name", sorted(methods.METHODS))
def test_parameters_are_those_of_the_function(name: str) -> None:
    theirs = list(inspect.signature(getattr(ac.Tensor, name)).parameters.values())[1:]
    arguments = declared()[name].args
    ours = [*arguments.posonlyargs, *arguments.args][1:]
    assert [a.arg for a in [*ours, *arguments.kwonlyargs]] == [p.name for p in theirs]
    defaults = [ast.literal_eval(d) for d in [*arguments.defaults, *arguments.kw_defaults] if d]
    assert defaults == [p.default for p in theirs if p.default is not p.empty]


def test_users_code_and_its_mistakes(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="the type checker")
    wrong = tmp_path / "wrong.py"
    wrong.write_text(WRONG)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", str(USERS), str(wrong)]
    found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path).stdout
    assert "users.py" not in found, found
    lines = [line.split("wrong.py:")[1] for line in found.splitlines() if "wrong.py:" in line]
    assert {int(line.split(":")[0]) for line in lines} == {4, 5, 6, 7, 8, 9}, found
