"""The pytest plugin: what users' tests find, the table at the end, markers and options."""

import os
import re
import subprocess
import sys

import pytest

from autograd_core.device import devices

RIGHT, WRONG = pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED
USAGE_ERROR = pytest.ExitCode.USAGE_ERROR


def run(folder, *several):
    """What pytest does in a folder, with each of several lists of options: one process runs all.

    Returns:
        For each, its exit code and all that it printed.
    """
    script = "import pytest, sys\n"
    for options in several or ([],):
        given = ["-p", "no:cacheprovider", "--color=no", *options]
        script += f"print('=== exit', int(pytest.main({given!r})), flush=True)\n"
        script += "print(file=sys.stderr, flush=True)\n"
    kept = {k: x for k, x in os.environ.items() if not k.startswith(("PYTEST_", "HYPOTHESIS_"))}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={**kept, "COLUMNS": "150"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    found = re.findall(r"(.*?)=== exit (\d+)\n", done.stdout, re.DOTALL)
    assert len(found) == max(len(several), 1), done.stdout
    return [(int(code), printed) for printed, code in found]


def table_in(printed):
    """The lines of the table."""
    _, _, rest = printed.partition(" gradient checks ====")
    lines = rest.splitlines()[1:]
    end = next((i for i, line in enumerate(lines) if line.startswith("===")), len(lines))
    return [line.rstrip() for line in lines[:end] if line.strip()]


def outcomes(printed):
    """How many tests passed, failed, …, as the last line says."""
    counts = re.findall(r"(\d+) (passed|failed|error|skipped|xfailed)", printed.splitlines()[-1])
    return {what: int(n) for n, what in counts}


# What is found --------------------------------------------------------------------------------

USERS = {
    "of_numpy": """
import numpy as np

def swish(x):
    return x / (1 + np.exp(-x))

def swish_vjp(g, x):
    return g / (1 + np.exp(-x))  # a term is missing

def test_swish(gradcheck):
    gradcheck((swish, swish_vjp), np.linspace(-1, 1, 5))
""",
    "of_tensors": """
import autograd_core as ac

@ac.custom_vjp
def cube(x):
    return x * x * x

cube.defvjp(lambda x: (x * x * x, x), lambda x, ct: (2 * x * x * ct,))

def test_cube(gradcheck):
    gradcheck(cube, ac.asarray([1.0, 2.0]))
""",
    "of_torch": """
import torch

class Doubled(torch.autograd.Function):
    forward = staticmethod(lambda ctx, x: 2 * x)
    backward = staticmethod(lambda ctx, g: -2 * g)

def test_doubled(gradcheck):
    gradcheck(Doubled.apply, torch.ones(3, dtype=torch.float64))
""",
    "of_jax": """
import jax

@jax.custom_vjp
def square(x):
    return x**2

square.defvjp(lambda x: (x**2, x), lambda x, g: (2 * g * jax.lax.stop_gradient(x),))

def test_square(gradcheck):
    gradcheck(square, jax.numpy.ones(3))
""",
    "of_domains": """
import numpy as np
import autograd_core as ac
from autograd_core.testing import check_property, tensors

@check_property(x=tensors(domain="x>0"), reference=np.log)
def test_log1p(x):
    return ac.log1p(x)
""",
    "of_mine": """
import numpy as np

def refuses(x):
    raise RuntimeError("not today")

def test_refuses(gradcheck):
    gradcheck((refuses, lambda g, x: g), np.ones(2))
""",
}
LIBRARIES = {"of_torch": "torch", "of_jax": "jax"}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What is printed of users' tests with planted errors, by file; and the whole."""
    folder = tmp_path_factory.mktemp("users")
    for name, text in USERS.items():
        needs = LIBRARIES.get(name)
        skip = f"import pytest; pytest.importorskip({needs!r}, reason='absent')\n" if needs else ""
        (folder / f"test_{name}.py").write_text(skip + text.lstrip())
    ((code, printed),) = run(folder)
    assert code == WRONG
    failures, _, _ = printed.partition(" gradient checks ====")
    parts = re.split(r"\n_+ (test_\w+) _+\n", failures)[1:]
    return {"all": printed, **dict(zip(parts[::2], parts[1::2], strict=True))}


@pytest.mark.parametrize(
    ("name", "test", "says"),
    [
        ("of_numpy", "test_swish", "swish: the gradient (reverse mode) with respect to argument 0"),
        ("of_tensors", "test_cube", "it is 2/3 times what it should be"),
        ("of_torch", "test_doubled", "it looks as if the sign is wrong"),
        ("of_jax", "test_square", "first derivatives are right: the rule of the rule is wrong"),
        ("of_domains", "test_log1p", "what is wrong: output 0 is not the reference's"),
    ],
)
def test_ten_lines_find_a_planted_error(found, name, test, says):
    library = LIBRARIES.get(name)
    if library:
        pytest.importorskip(library, reason=f"checks functions of {library}")
    assert len(USERS[name].strip().splitlines()) <= 11
    assert says in found[test], found[test]
    row = next(line for line in table_in(found["all"]) if line.startswith(test))
    assert row.endswith("WRONG")


@pytest.mark.parametrize(("test", "line"), [("test_swish", 10), ("test_cube", 10)])
def test_tracebacks_end_at_the_users_line(found, test, line):
    shown = found[test]
    name = next(name for name, text in USERS.items() if test in text)
    assert f"test_{name}.py:{line}: GradientError" in shown
    assert re.search(r"^>       gradcheck\(", shown, re.MULTILINE)
    assert "autograd_core/" not in shown and shown.count(".py:") == 1
    assert "see it again: check_grads(" in shown


def test_a_broken_domain_is_shown_with_the_smallest_arguments(found):
    shown = found["test_log1p"]
    assert "at np.array(1.0)" in shown and "x=Tensor(1., dtype=float64)" in shown
    assert "autograd_core/" not in shown


def test_what_a_function_raises_is_shown_with_both_of_the_users_lines(found):
    shown = found["test_refuses"]
    for line in ('    raise RuntimeError("not today")', "    gradcheck((refuses, lambda g, x: g)"):
        assert re.search(f"^>   {re.escape(line)}", shown, re.MULTILINE), shown
    assert "RuntimeError: not today\n" in shown and "test_of_mine.py:4: RuntimeError" in shown


def test_what_a_function_raises_is_shown_without_our_lines(found):
    assert "autograd_core/" not in found["test_refuses"]


# The table ------------------------------------------------------------------------------------

MANY = """
import numpy as np
import pytest
from autograd_core.testing import check_grads

SIN = (np.sin, lambda g, x: g * np.cos(x))
COS = (np.cos, lambda g, x: -g * np.sin(x))
noise = np.random.default_rng(0)

@pytest.mark.parametrize("k", range(44))
def test_right(k, gradcheck):
    gradcheck(SIN, np.full(3, 0.5 + k / 10), search=False)

def test_wrong(gradcheck):
    gradcheck((np.cos, lambda g, x: g), np.ones(3))

def test_two(gradcheck):
    gradcheck(SIN, np.ones(2), search=False)
    check_grads(COS, np.ones(2), search=False)
    gradcheck(SIN, np.zeros(2), search=False)

def test_cos_of_nothing():
    check_grads(COS, np.ones(2), search=False)

def test_noise(gradcheck):
    gradcheck((lambda x: noise.standard_normal(x.shape), lambda g, x: g), np.ones(2), search=False)

@pytest.mark.xfail
def test_known(gradcheck):
    gradcheck((np.sin, lambda g, x: -g * np.cos(x)), np.ones(3))

def test_unchecked():
    pass
"""
SECOND = """
import autograd_core as ac

def test_cube(gradcheck):
    gradcheck(lambda x: x**3, ac.ones(2), search=False)
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A folder of users' tests, and what is printed of them with several options."""
    folder = tmp_path_factory.mktemp("many")
    (folder / "test_many.py").write_text(MANY)
    (folder / "test_second.py").write_text(SECOND)
    printed = run(folder, [], ["-v"], ["-qq"], ["-n", "2"], ["-k", "unchecked"])
    return dict(zip(("plain", "-v", "-qq", "-n 2", "unchecked"), printed, strict=True))


def test_the_table_says_what_was_checked(many):
    code, printed = many["plain"]
    assert code == WRONG
    assert outcomes(printed) == {"failed": 1, "passed": 49, "xfailed": 1}
    header, *rows, last = table_in(printed)
    columns = r"checked +orders +modes +slopes +worst error / tolerance"
    assert re.fullmatch(columns, header)
    assert len(rows) == 40
    assert last == "… and 11 more, with smaller errors (-v shows all)"
    # The wrong ones come first, then those that came nearest to being wrong.
    assert {row.split()[0] for row in rows[:2]} == {"test_wrong:", "test_known:"}
    assert all(row.endswith(" WRONG") for row in rows[:2])
    worst = [float(row.split()[-1]) for row in rows[2:] if row.split()[-1] != "undecided"]
    assert worst == sorted(worst, reverse=True) and 0 < worst[0] < 1


def test_with_v_the_table_has_all_rows(many):
    rows = table_in(many["-v"][1])[1:]
    assert len(rows) == 51
    named = {re.split(r"  +", row)[0]: re.split(r"  +", row)[1:] for row in rows}
    assert len(named) == 51
    assert "test_right[43]: sin" in named and "unchecked" not in "".join(named)
    # One row for each function of a test, by its name alone where that says it.
    orders, modes, slopes, worst = named["test_two: sin"]
    assert (orders, modes) == ("1", "rev") and float(worst) < 1
    assert int(slopes) == 2 * int(named["test_two: cos"][2]) > 0
    assert "test_cos_of_nothing" in named
    assert named["test_noise: <lambda>"] == ["-", "0", "undecided"]
    assert named["test_cube: <lambda>"][:2] == ["1, 2", "rev+fwd"]


def test_with_qq_and_without_checks_there_is_no_table(many):
    for name in ("-qq", "unchecked"):
        assert "gradient checks" not in many[name][1]
    assert many["unchecked"][0] == RIGHT


def test_workers_make_the_same_table(many):
    code, printed = many["-n 2"]
    assert code == WRONG and "2 workers" in printed
    assert outcomes(printed) == outcomes(many["plain"][1])
    assert sorted(table_in(printed)) == sorted(table_in(many["plain"][1]))


# Markers and options --------------------------------------------------------------------------

OPTIONS = """
import numpy as np
import pytest
import autograd_core as ac
from autograd_core.testing import GradientError, check_grads, check_property, tensors
from autograd_core.testing.profiles import profile_of
from expected import EXPECTED

VECTOR = np.linspace(0.5, 1.5, 3)

def orders(gradcheck, **options):
    return gradcheck(lambda x: x**3, ac.asarray(VECTOR), search=False, **options).orders

def dtypes(gradcheck, **options):
    found = []
    vjp = lambda g, x: found.append(x.dtype.name) or g * np.cos(x)
    gradcheck((np.sin, vjp), VECTOR, search=False, **options)
    return list(dict.fromkeys(found))

def seed(gradcheck, **options):
    with pytest.raises(GradientError) as raised:
        gradcheck((np.sin, lambda g, x: g), VECTOR, **options)
    return str(raised.value).rpartition("seed=")[2]

def test_of_the_run(gradcheck):
    assert orders(gradcheck) == EXPECTED["orders"]
    assert check_grads(lambda x: x**3, 2.0, search=False).orders == EXPECTED["orders"]
    assert dtypes(gradcheck) == EXPECTED["dtypes"]
    assert seed(gradcheck) == EXPECTED["seed"] + ")"
    assert profile_of(None).examples == EXPECTED["examples"]

@pytest.mark.gradcheck(order=1, dtypes=["float64", np.float32], seed=5, profile="quick")
def test_of_a_test(gradcheck):
    assert orders(gradcheck) == [1]
    assert dtypes(gradcheck) == ["float64", "float32"]
    assert seed(gradcheck) == "5)"
    assert profile_of(None).examples == 12

@pytest.mark.gradcheck(order=1, dtypes="float64,float32", seed=5)
def test_of_a_call(gradcheck):
    assert orders(gradcheck, order=3) == [1, 2, 3]
    assert dtypes(gradcheck, dtypes="float32") == ["float32"]
    assert seed(gradcheck, seed=6) == "6)"
    assert orders(gradcheck, profile="ci") == [1, 2, 3]

@pytest.mark.gradcheck(order=1, devices="cpu")
def test_of_tensors(gradcheck):
    seen = []
    f = lambda x: seen.append((x.dtype.name, x.device)) or x * x
    report = gradcheck(f, ac.asarray(VECTOR), dtypes=["float32"], search=False)
    assert ("float32", "cpu") in seen and report.decided

@pytest.mark.gradcheck(order=1)
@check_property(tensors(shapes=(2,)), examples=2)
def test_of_domains(x):
    return x**2

@pytest.mark.gradcheck(dtypes="float32")
def test_of_trees_and_integers(gradcheck):
    seen = []
    def f(tree, n):
        seen.append((tree["w"].dtype.name, n.dtype.name))
        return tree["w"] * n + tree["b"]
    vjp = lambda g, tree, n: ({"w": g * n, "b": g}, None)
    gradcheck((f, vjp), {"w": VECTOR, "b": VECTOR}, np.arange(3))
    assert seen[0] == ("float32", "int64")
"""
OF_TORCH = """
import pytest
torch = pytest.importorskip("torch", reason="absent")

@pytest.mark.gradcheck(dtypes="float32", order=1)
def test_of_torch(gradcheck):
    seen = []
    f = lambda x: seen.append(x.dtype) or x * x
    gradcheck(f, torch.ones(3, dtype=torch.float64), search=False)
    assert seen[0] == torch.float32
"""


@pytest.mark.parametrize(
    ("ini", "options", "expected"),
    [
        (
            "",
            ["--gradcheck-order=1", "--gradcheck-dtypes=float32, float64", "--gradcheck-seed=7"],
            {"orders": [1], "dtypes": ["float32", "float64"], "seed": "7", "examples": 12},
        ),
        (
            "gradcheck_order = 1\ngradcheck_dtypes = float32\ngradcheck_profile = ci\n",
            ["--gradcheck-order=3"],  # on the command line it counts for more
            {"orders": [1, 2, 3], "dtypes": ["float32"], "seed": "0", "examples": 40},
        ),
    ],
    ids=["command line", "ini file"],
)
def test_options_are_those_of_the_call_the_test_and_the_run(tmp_path, ini, options, expected):
    (tmp_path / "expected.py").write_text(f"EXPECTED = {expected!r}\n")
    (tmp_path / "pytest.ini").write_text(f"[pytest]\npythonpath = .\n{ini}")
    (tmp_path / "test_options.py").write_text(OPTIONS)
    if not ini:
        (tmp_path / "test_of_torch.py").write_text(OF_TORCH)
    ((code, printed),) = run(tmp_path, ["-v", *options])
    assert code == RIGHT, printed
    assert outcomes(printed)["passed"] >= 6
    rows = [line.split() for line in table_in(printed)]
    assert ["test_of_domains", "1", "rev+fwd"] in [row[:3] for row in rows]


SELECTED = """
import numpy as np
import pytest
from autograd_core.testing import check_grads, check_property, tensors

SIN = (np.sin, lambda g, x: g * np.cos(x))

@pytest.fixture
def checker(gradcheck):
    return gradcheck

def test_by_fixture(gradcheck):
    gradcheck(SIN, np.ones(2))

def test_by_a_fixture_of_a_fixture(checker):
    checker(SIN, np.ones(2))

class TestInAClass:
    def test_by_fixture(self, gradcheck):
        gradcheck(SIN, np.ones(2))

@check_property(x=tensors())
def test_by_property(x):
    return x * x

test_of_a_pair = check_property(tensors())(SIN)

@pytest.mark.gradcheck
def test_by_marker():
    check_grads(SIN, np.ones(2))

def test_by_nothing():
    check_grads(SIN, np.ones(2))

def test_plain():
    pass
"""


def test_checks_are_selected_by_fixture_by_property_and_by_marker(tmp_path):
    (tmp_path / "test_selected.py").write_text(SELECTED)
    collected = ["--collect-only", "-q", "--strict-markers", "-m"]
    (code, chosen), (_, others) = run(
        tmp_path, [*collected, "gradcheck"], [*collected, "not gradcheck"]
    )
    assert code == RIGHT
    assert re.findall(r"^test_selected.py::(.*)$", chosen, re.MULTILINE) == [
        "test_by_fixture",
        "test_by_a_fixture_of_a_fixture",
        "TestInAClass::test_by_fixture",
        "test_by_property",
        "test_of_a_pair",
        "test_by_marker",
    ]
    assert re.findall(r"::(.*)$", others, re.MULTILINE) == ["test_by_nothing", "test_plain"]


BAD = {
    "--gradcheck-order=9": "--gradcheck-order=9: expected a number from 1 to 4",
    "--gradcheck-order=two": "--gradcheck-order=two: expected a number from 1 to 4",
    "--gradcheck-seed=-1": "--gradcheck-seed=-1: expected a number from 0",
    "--gradcheck-profile=slow": "profile='slow'; expected one of 'quick', 'ci', 'thorough'",
    "--gradcheck-dtypes=float32,int8": "--gradcheck-dtypes=int8: expected float32, float64 or flo",
    "--gradcheck-dtypes=double,flot": "--gradcheck-dtypes=flot: expected float32",
    "--gradcheck-devices=tpu": '--gradcheck-devices=tpu: device \'tpu\': expected "cpu", "cuda"',
    "--override-ini=gradcheck_order=0": "order=0: expected a number from 1 to 4",
    "--gradcheck-devices=cuda": '--gradcheck-devices=cuda: device "cuda": no NVIDIA GPU or driver',
}
"""Options, and what is said of them."""


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """What is printed for each bad option."""
    folder = tmp_path_factory.mktemp("refused")
    return dict(zip(BAD, run(folder, *([option] for option in BAD)), strict=True))


@pytest.mark.parametrize("option", BAD)
def test_bad_options_are_usage_errors_of_one_line(refused, option):
    if option.endswith("=cuda") and len(devices()) > 1:
        pytest.skip("this machine has a GPU")
    code, printed = refused[option]
    (line,) = filter(None, printed.splitlines())
    assert code == USAGE_ERROR
    assert line.startswith(f"ERROR: {BAD[option]}") or BAD[option] in line


MARKED = """
import numpy as np
import pytest
from autograd_core.testing import check_grads

SIN = (np.sin, lambda g, x: g * np.cos(x))

@pytest.mark.gradcheck(order=9)
def test_order():
    check_grads(SIN, np.ones(2))

@pytest.mark.gradcheck("ci")
def test_position():
    check_grads(SIN, np.ones(2))

@pytest.mark.gradcheck(tolerance=1e-3)
def test_name():
    check_grads(SIN, np.ones(2))

@pytest.mark.gradcheck(dtypes="int8")
def test_fixture(gradcheck):
    gradcheck(SIN, np.ones(2))

@pytest.mark.gradcheck(seed=3)
def test_seed_of_a_direct_call():
    check_grads((np.sin, lambda g, x: g), np.ones(2))
"""


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    """What is printed of tests with bad markers, by test."""
    folder = tmp_path_factory.mktemp("marked")
    (folder / "test_marked.py").write_text(MARKED)
    ((code, printed),) = run(folder)
    assert code == WRONG
    parts = re.split(r"\n_+ (?:ERROR at setup of )?(test_\w+) _+\n", printed)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize(
    ("test", "says"),
    [
        ("test_order", "order=9: expected a number from 1 to 4"),
        ("test_position", "pytest.mark.gradcheck: 'ci'; expected profile, order, dtypes, devices"),
        ("test_name", "pytest.mark.gradcheck: tolerance; expected profile, order"),
        ("test_fixture", "dtypes=int8: expected float32, float64 or float16"),
    ],
)
def test_tests_with_bad_markers_fail_and_say_what_is_expected(marked, test, says):
    assert says in marked[test]


@pytest.mark.parametrize("test", ["test_order", "test_fixture"])
def test_bad_markers_are_told_of_in_one_line(marked, test):
    shown = marked[test].partition("\n___")[0].partition("\n===")[0]
    assert len(shown.strip().splitlines()) == 1


def test_the_seed_of_a_marker_holds_for_direct_calls(marked):
    assert re.search(r"see it again: .*seed=3\)", marked["test_seed_of_a_direct_call"])
