"""What goes wrong in a user's own file is told with its line, and is no fault to report."""

import pytest

from metalearn.own import told_by_own

from .helpers import SINUSOID, fails, flags

ALGORITHMS = """\
from dataclasses import dataclass
import autograd_core as ac
from metalearn.algorithms.base import Algorithm

@dataclass(frozen=True)
class Broken(Algorithm):
    def step(self, learner, meta, params, support, number):
        return params.foo, None

@dataclass(frozen=True)
class NoStep(Algorithm):
    pass

@dataclass(frozen=True)
class Shapes(Algorithm):
    def step(self, learner, meta, params, support, number):
        return params, ac.ones(3) @ ac.ones(4)

@dataclass(frozen=True)
class Inner(Algorithm):
    def step(self, learner, meta, params, support, number):
        def loss(x):
            return helper(x)
        return ac.grad(loss)(1.0), None

def helper(x):
    raise KeyError("size")

@dataclass(frozen=True)
class Half(Algorithm):
    def step(self, learner, meta, params, support, number):
        return None, None

@dataclass(frozen=True)
class Settings(Algorithm):
    def __post_init__(self):
        raise ValueError

@dataclass(frozen=True)
class StateAlone(Algorithm):
    def step(self, learner, meta, params, support, number):
        return params
"""
TASKS = """\
import numpy as np
from metalearn.tasks import TaskFamily

class Divides(TaskFamily):
    def task(self, rng, part, shots, queries):
        return 1 / 0

class Opens(TaskFamily):
    def task(self, rng, part, shots, queries):
        return open("no such file")

class NoTask(TaskFamily):
    pass

class Nothing(TaskFamily):
    def task(self, rng, part, shots, queries):
        pass

class Uneven(TaskFamily):
    def task(self, rng, part, shots, queries):
        return ([[1], [2, 3]], [[1]]), ([[1]], [[1]])

class Texts(TaskFamily):
    def task(self, rng, part, shots, queries):
        return ([["a"]], [[1]]), ([["a"]], [[1]])

class Arguments(TaskFamily):
    def __init__(self, noise):
        self.noise = noise

class Init(TaskFamily):
    def __init__(self):
        [].pop()
"""
DEBUG = "(--debug shows the whole traceback)"


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine.py").write_text(ALGORITHMS)
    (tmp_path / "tasks.py").write_text(TASKS)
    return tmp_path


LINES = {
    "Broken": "mine.py, line 8, in step: AttributeError: 'list' object has no attribute 'foo'",
    "Shapes": "mine.py, line 17, in step: ",
    "Inner": "mine.py, line 27, in helper: KeyError: 'size'",
    "Settings": "mine.py, line 37, in __post_init__: ValueError (",
}


@pytest.mark.parametrize("jit", ["--jit", "--no-jit"])
@pytest.mark.parametrize("name", LINES)
def test_errors_of_an_algorithm_have_its_line(capsys, mine, name, jit):
    own = ["--algorithm", f"{mine}/mine.py:{name}"]
    given = ["train", "sinusoid", *own, *flags(SINUSOID), "--out", mine / "run", jit]
    error = fails(capsys, *given, says=(LINES[name], DEBUG))
    assert "report" not in error and "unexpected" not in error


@pytest.mark.parametrize("name", LINES)
def test_check_tells_the_line_too(capsys, mine, name):
    own = ["--algorithm", f"{mine}/mine.py:{name}", "--hidden", 4, "--episodes", 2]
    fails(capsys, "check", "sinusoid", *own, says=(LINES[name], DEBUG))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Divides", "tasks.py, line 6, in task: ZeroDivisionError: division by zero"),
        ("Opens", "tasks.py, line 10, in task: FileNotFoundError: "),
        ("Init", "tasks.py, line 33, in __init__: IndexError: pop from empty list"),
    ],
)
@pytest.mark.parametrize("command_", ["train", "check"])
def test_errors_of_tasks_have_their_line(capsys, mine, name, says, command_):
    out = ["--out", mine / "run"] if command_ == "train" else []
    fails(capsys, command_, f"{mine}/tasks.py:{name}", *out, says=(says, DEBUG))


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("NoTask", 1, "define task(self, rng, part, shots, queries)"),
        ("Nothing", 1, "task returned a NoneType"),
        ("Uneven", 1, "task returned a tuple"),
        ("Texts", 1, "expected numbers"),
        ("Arguments", 2, "cannot be made without arguments"),
    ],
)
def test_what_tasks_lack_is_told(capsys, mine, name, code, says):
    fails(capsys, "check", f"{mine}/tasks.py:{name}", code=code, says=(name, says))


def test_a_missing_step_is_told(capsys, mine):
    own = ["--algorithm", f"{mine}/mine.py:NoStep"]
    given = ["train", "sinusoid", *own, *flags(SINUSOID), "--out", mine / "run"]
    expected = "define step(self, learner, meta, state, support, number)"
    fails(capsys, *given, code=2, says=("NoStep", expected))


def test_a_step_that_returns_something_else_is_told(capsys, mine):
    own = ["--algorithm", f"{mine}/mine.py:StateAlone"]
    given = ["train", "sinusoid", *own, *flags(SINUSOID), "--out", mine / "run"]
    fails(capsys, *given, code=2, says=("StateAlone", "step returned a", "(state, seen)"))


def test_what_a_step_returns_is_suspected(capsys, mine):
    own = ["--algorithm", f"{mine}/mine.py:Half"]
    given = ["train", "sinusoid", *own, *flags(SINUSOID), "--out", mine / "run"]
    fails(capsys, *given, says=("unexpected TypeError", "mine.py", "returns", "--debug"))


def test_a_file_that_cannot_be_imported_is_told_with_its_line(capsys, mine):
    (mine / "bad.py").write_text("x = 1\n\ny = z\n")
    (mine / "worse.py").write_text("x = = 1\n")
    own = ["train", "sinusoid", "--algorithm"]
    says = ("bad.py, line 3: NameError: name 'z' is not defined", "--debug")
    fails(capsys, *own, f"{mine}/bad.py:X", code=2, says=says)
    fails(capsys, *own, f"{mine}/worse.py:X", code=2, says=("SyntaxError", "worse.py, line 1"))


def test_errors_of_other_files_are_not_the_users():
    try:
        [].pop()
    except IndexError as error:
        assert told_by_own(error) is None
