"""Command lines run in this process, and small runs to try things on."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from metalearn import cli
from metalearn.config import Config, algorithm_of, make_config
from metalearn.problems import open_problem
from metalearn.runs import Run, create_run
from metalearn.training import Trainer

ROOT = Path(__file__).resolve().parents[2]

# A run of a second or so: few and small.
SINUSOID = {
    "iterations": 40,
    "hidden": (8, 8),
    "meta_batch": 4,
    "validate_every": 10,
    "validation_episodes": 10,
    "eval_steps": 2,
}
GLYPHS = {
    "iterations": 4,
    "filters": 4,
    "image_size": 16,
    "meta_batch": 2,
    "queries": 2,
    "validate_every": 2,
    "validation_episodes": 4,
    "eval_steps": 2,
}


def flags(options: dict[str, Any]) -> list[str]:
    """Options as a command line."""
    words = []
    for name, value in options.items():
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        words += ["--" + name.replace("_", "-"), text]
    return words


class Result(NamedTuple):
    code: int
    out: str
    err: str


def command(capsys, *arguments: object) -> Result:
    """Run a command line in this process."""
    capsys.readouterr()
    code = cli.run([str(a) for a in arguments])
    return Result(code, *capsys.readouterr())


def fails(capsys, *arguments: object, code: int = 1, says: tuple = ()) -> str:
    """Run a command line that has to end in one clear line and an exit code; that line."""
    result = command(capsys, *arguments)
    assert result.code == code, result
    assert_one_line(result.err, says)
    return result.err


def assert_one_line(text: str, says: tuple = ()) -> None:
    assert text.startswith("metalearn: "), text
    assert text.count("\n") == 1, text
    assert "Traceback" not in text
    for fragment in says:
        assert str(fragment) in text, f"{fragment!r} is not in {text!r}"


def metalearn(*arguments: object, **options: Any) -> subprocess.Popen:
    """Start a command line in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    return subprocess.Popen(
        [sys.executable, "-m", "metalearn", *map(str, arguments)],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def small_config(dataset: str = "sinusoid", **changes: Any) -> Config:
    base = SINUSOID if dataset == "sinusoid" else GLYPHS
    return make_config(dataset, {**base, **changes})


def new_run(path: Path, config: Config) -> tuple[Run, Any]:
    """A run that is not trained yet, and its problem."""
    problem = open_problem(config)
    return create_run(path, config, problem, algorithm_of(config).order), problem


def train(path: Path, config: Config) -> Run:
    run, problem = new_run(path, config)
    assert Trainer(run, problem).train()
    return run


def untimed(run: Run) -> list[dict[str, Any]]:
    """A run's metrics without their times."""
    times = ("seconds", "spent")
    return [{k: v for k, v in x.items() if k not in times} for x in run.metrics.read()]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, to see that none has changed."""
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def draw_folder(folder: Path, classes: int, images: int, seed: int = 0) -> Path:
    """A folder of class folders; the images of a class are alike."""
    rng = np.random.default_rng(seed)
    for c in range(classes):
        pattern = rng.random((6, 6)) < 0.3
        (folder / f"class{c}").mkdir(parents=True)
        for i in range(images):
            flipped = pattern ^ (rng.random((6, 6)) < 0.03)
            pixels = np.kron(~flipped, np.ones((5, 5), bool))
            Image.fromarray(pixels).save(folder / f"class{c}" / f"{i}.png")
    return folder


SIDE = 16  # of the images that `GLYPHS` asks for


def drawings(classes: int, each: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, SIDE, SIDE) bool that look alike within a class, and the number of each class."""
    rng = np.random.default_rng(seed)
    patterns = rng.random((classes, SIDE, SIDE)) < 0.3
    y = np.repeat(np.arange(classes), each)
    return patterns[y] ^ (rng.random((len(y), SIDE, SIDE)) < 0.03), y
