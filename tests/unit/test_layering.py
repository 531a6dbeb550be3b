"""Which package may import which, told from the syntax trees of all their files.

    kernels <- autograd_core <- metalearn

and nothing from a deep-learning framework anywhere.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import autograd_core

ROOT = Path(__file__).resolve().parents[2]
MAY_IMPORT = {
    "kernels": {"kernels"},
    "autograd_core": {"kernels", "autograd_core"},
    "metalearn": {"autograd_core", "metalearn"},
}
OURS = {*MAY_IMPORT, "tests", "benchmarks"}
FRAMEWORKS = {
    "autograd",
    "flax",
    "haiku",
    "jax",
    "jaxlib",
    "keras",
    "mindspore",
    "mxnet",
    "mygrad",
    "optax",
    "paddle",
    "pytorch_lightning",
    "tensorflow",
    "tinygrad",
    "torch",
    "torchvision",
}
PUBLIC = {
    "autograd_core." + name
    for name in ("nn", "optim", "ops", "tree", "errors", "random", "special", "testing")
}


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, str | None, int]]:
    """(module, imported name, line) of each import in a file, in functions too."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, None, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield module, alias.name, node.lineno
        elif isinstance(node, ast.Call) and _is_dynamic_import(node):
            yield node.args[0].value, None, node.lineno  # type: ignore[attr-defined]


def _is_dynamic_import(node: ast.Call) -> bool:
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    return (
        name in ("import_module", "__import__")
        and bool(node.args)
        and isinstance(node.args[0], ast.Constant)
    )


def violations(package: str, path: Path) -> list[str]:
    found = []
    for module, name, line in imports(path):
        top = module.split(".")[0]
        allowed = MAY_IMPORT[package]
        if top in FRAMEWORKS or (top in OURS and top not in allowed):
            found.append(f"{path}:{line}: {package} imports {module}")
        if package == "metalearn" and top == "autograd_core" and not is_public(module, name):
            found.append(f"{path}:{line}: {module}.{name} is not public")
    return found


def is_public(module: str, name: str | None) -> bool:
    """A name in `autograd_core.__all__`, or in one of its public subpackages."""
    if module == "autograd_core":
        return name is None or name in autograd_core.__all__ or f"{module}.{name}" in PUBLIC
    within = any(module == p or module.startswith(p + ".") for p in PUBLIC)
    return within and not (name or "").startswith("_") and "._" not in module


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_the_right_way(package):
    assert files(package), "nothing was read"
    assert [v for path in files(package) for v in violations(package, path)] == []


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("kernels", "import autograd_core"),
        ("kernels", "from metalearn.tasks import images"),
        ("autograd_core", "import metalearn"),
        ("autograd_core", "def f():\n    from tests import helpers"),
        ("metalearn", "import kernels"),
        ("metalearn", "from autograd_core.reverse import Node"),
        ("metalearn", "from autograd_core import primitive"),
        ("metalearn", "from autograd_core.nn._layers import Dense"),
        ("metalearn", "import torch.nn as nn"),
        ("autograd_core", "import importlib\nimportlib.import_module('jax.numpy')"),
        ("kernels", "from tensorflow import keras"),
    ],
)
def test_the_check_notices(package, line, tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / package / "module.py"
    path.parent.mkdir()
    path.write_text(line)
    assert len(violations(package, path)) >= 1


def test_relative_imports_are_followed(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / "metalearn" / "tasks" / "module.py"
    path.parent.mkdir(parents=True)
    path.write_text("from ..models import make\nfrom . import images\n")
    assert [i[0] for i in imports(path)] == ["metalearn.models", "metalearn.tasks"]
    assert violations("metalearn", path) == []


def test_importing_the_engine_loads_no_framework_and_no_hypothesis():
    import subprocess
    import sys

    code = (
        "import sys, autograd_core, autograd_core.testing, kernels\n"
        f"print(*[m for m in {sorted(FRAMEWORKS | {'hypothesis', 'metalearn'})!r} "
        "if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == []
