"""The command `python -m autograd_core.check`: what it finds, its exit codes, reports, messages."""

import base64
import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from autograd_core.check import RIGHT, UNDECIDED, UNUSABLE, WRONG, app

FUNCTIONS = '''
"""What a user has written."""

import numpy as np

import autograd_core as ac


def swish(x):
    return x * ac.sigmoid(x)


@ac.custom_vjp
def cube(x):
    return x * x * x


cube.defvjp(lambda x: (x * x * x, x), lambda x, ct: (2 * x * x * ct,))


def product(x, y):
    return x * y


def sine(x):
    return np.sin(x)


def sine_vjp(g, x):
    return g * np.cos(x)


def sine_jvp(args, tangents):
    return tangents[0] * np.cos(args[0])


def negated_vjp(g, x):
    return -g * np.cos(x)


def negated_jvp(args, tangents):
    return -tangents[0] * np.cos(args[0])


SINE = (sine, sine_vjp)
NEGATED = [sine, negated_vjp]
ALONE = (sine,)
NUMBER = 3


def size(x):
    return np.abs(x)


def size_vjp(g, x):  # right for positive numbers
    return g


def ratio(x, y):
    return x / np.abs(y)


def ratio_vjp(g, x, y):  # right where y is positive
    return g / y, -g * x / y**2


class Noise:
    made = np.random.default_rng(0)

    @staticmethod
    def rough(x):
        return Noise.made.standard_normal(x.shape)

    @staticmethod
    def rough_vjp(g, x):
        return g


def taken(x, places):
    return x[places]


def summed(x, axes, keepdims, scale):
    assert (axes, keepdims) == ((0, 1), True)
    return scale * ac.sum(x, axes, keepdims)


def chosen(x, how):
    assert how == "mean"
    return x.mean()


def chosen_vjp(g, x, how):
    return np.broadcast_to(g, x.shape) / x.size, None


def counted(x, places):
    assert places.dtype == np.int32 and places.shape == (2, 2) and set(places.flat) <= {5, 6}
    return x * places.sum()


def counted_vjp(g, x, places):
    return g * places.sum(), None


@ac.custom_vjp
def tilted(x, by):
    return x * by["a"]


tilted.defvjp(
    lambda x, by: (x * by["a"], (x, by)),
    lambda kept, ct: (ct * kept[1]["a"], {"a": -ac.sum(ct * kept[0])}),
)


def double(x):
    assert x.dtype == np.float32 and x.shape == (2, 3)
    return 2 * x


def double_vjp(g, x):
    return 2 * g


def line(x, y, ab):
    return ab[0] * x * y + ab[1]


def averaged(x, how):
    return x.mean() if how == "mean" else x


def refuses(x):
    raise RuntimeError("not today")


def whole(x):
    return ac.argmax(x)
'''
FAST = ["--draws", "1", "--no-search"]
VECTOR = ["--arg", "float64[3]"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A user's folder with a module, which is forgotten afterwards."""
    (tmp_path / "users.py").write_text(FUNCTIONS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in ("users", "broken"):
        sys.modules.pop(name, None)


def run(target, *arguments, module="users"):
    """What the command does: its exit code, and what it printed."""
    found = CliRunner().invoke(app, [f"{module}:{target}", *arguments])
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found


def refused(target, *arguments, module="users"):
    """The one line that the command says where it cannot be asked for something."""
    found = run(target, *arguments, module=module)
    assert (found.exit_code, found.stdout) == (UNUSABLE, "")
    (line,) = found.stderr.splitlines()
    return line.removeprefix("error: ")


# Verdicts -------------------------------------------------------------------------------------


def test_a_right_function_exits_with_0_and_says_what_was_looked_at():
    found = run("swish", *VECTOR)
    assert (found.exit_code, found.stderr) == (RIGHT, "")
    assert re.match(r"swish: \d+ slopes compared\n  order 1, rev: worst error", found.stdout)
    assert "order 2, of fwd, fwd" in found.stdout
    assert found.stdout.endswith("swish: right, as far as was looked\n")


def test_a_wrong_function_exits_with_1_and_says_what_is_wrong():
    found = run("cube", *VECTOR)
    assert (found.exit_code, found.stderr) == (WRONG, "")
    assert "cube: the gradient (reverse mode) with respect to argument 0 is wrong" in found.stdout
    assert "it is 2/3 times what it should be" in found.stdout
    assert "see it again: check_grads(cube, np.array([" in found.stdout
    assert found.stdout.endswith("\n  arguments: drawn with --seed 0\n")


def test_what_settles_nowhere_exits_with_3():
    found = run("Noise.rough", "--vjp", "users:Noise.rough_vjp", *VECTOR)
    assert found.exit_code == UNDECIDED
    assert "rough: 0 slopes compared" in found.stdout
    assert found.stdout.endswith("rough: undecided: choose other arguments\n")


def test_run_as_a_module_it_finds_what_lies_in_the_working_folder(folder):
    command = [sys.executable, "-m", "autograd_core.check", "users:cube", *VECTOR, *FAST]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert (done.returncode, done.stderr) == (WRONG, "")
    assert "2/3 times" in done.stdout


def test_the_same_seed_draws_the_same_arguments():
    first, again = (run("cube", *VECTOR, "--seed", "3").stdout for _ in range(2))
    other = run("cube", *VECTOR, "--seed", "4").stdout
    assert first == again != other
    assert "drawn with --seed 3" in first and "seed=4" in other


def test_draws_look_at_more_arguments():
    compared = [
        int(
            re.search(r"(\d+) slopes", run("swish", *VECTOR, "--draws", n, "--no-search").stdout)[1]
        )
        for n in ("1", "3")
    ]
    assert compared[1] == 3 * compared[0]


# Options of the check -------------------------------------------------------------------------


def test_order_modes_profile_and_search_are_those_of_check_grads():
    assert "order 3, rev" in run("swish", *VECTOR, *FAST, "--order", "3", "--mode", "rev").stdout
    first = run("swish", *VECTOR, *FAST, "--order", "1").stdout
    assert "order 1, fwd" in first and "order 2" not in first and "nearby" not in first
    only = run("swish", *VECTOR, "--draws", "1", "--order", "1", "--mode", "fwd").stdout
    assert "order 1, nearby, fwd" in only and "rev" not in only
    of_profile = run("swish", "--arg", "float64[]", *FAST, "--profile", "ci").stdout
    assert "order 3, of fwd of fwd, fwd" in of_profile


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--order", "7"], "order=7; expected 1 to 4"),
        (["--mode", "both"], 'modes=(\'both\',); expected some of "rev", "fwd"'),
        (["--profile", "slow"], "profile='slow'; expected one of 'quick', 'ci', 'thorough'"),
        (["--library", "tensorflow"], "expected one of autograd_core, numpy, torch, jax"),
        (["--library", "numpy"], "give the gradient too, with --vjp MODULE:NAME"),
    ],
)
def test_options_that_are_none(options, says):
    assert says in refused("swish", *VECTOR, *options)


# Pairs of NumPy functions ---------------------------------------------------------------------


def test_a_function_and_its_vjp():
    assert run("sine", "--vjp", "users:sine_vjp", *VECTOR, *FAST).exit_code == RIGHT
    found = run("sine", "--vjp", "users:negated_vjp", *VECTOR, *FAST)
    assert found.exit_code == WRONG and "the sign is wrong" in found.stdout
    assert "check_grads((sine, negated_vjp), np.array([" in found.stdout


def test_a_function_and_its_jvp():
    right, wrong = (f"users:{name}_jvp" for name in ("sine", "negated"))
    assert run("sine", "--jvp", right, *VECTOR, *FAST).exit_code == RIGHT
    both = ["--vjp", "users:sine_vjp", "--jvp"]
    assert "order 1, fwd" in run("sine", *both, right, *VECTOR, *FAST).stdout
    for given in (["--jvp"], both):
        found = run("sine", *given, wrong, *VECTOR, *FAST)
        assert found.exit_code == WRONG and "the tangent (forward mode)" in found.stdout


def test_a_pair_as_the_target():
    assert run("SINE", *VECTOR, *FAST).exit_code == RIGHT
    assert run("SINE", *VECTOR, *FAST, "--library", "numpy").exit_code == RIGHT
    found = run("NEGATED", *VECTOR, *FAST)
    assert found.exit_code == WRONG and "the sign is wrong" in found.stdout
    assert "a pair is of NumPy functions" in refused("SINE", *VECTOR, "--library", "torch")
    assert "(f, vjp)" in refused("ALONE", *VECTOR)


# Other libraries ------------------------------------------------------------------------------

OF_TORCH = """
import torch

class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * g * x**2

sine = torch.sin
"""
OF_JAX = """
import jax

@jax.custom_vjp
def cube(x):
    return x**3

cube.defvjp(lambda x: (x**3, x), lambda x, g: (2 * g * x**2,))
sine = jax.numpy.sin
"""


@pytest.mark.parametrize(
    ("library", "text", "cube"), [("torch", OF_TORCH, "Cube.apply"), ("jax", OF_JAX, "cube")]
)
def test_functions_of_other_libraries(folder, library, text, cube):
    pytest.importorskip(library, reason=f"checks functions of {library}")
    (folder / "users.py").write_text(text)
    options = [*VECTOR, *FAST, "--library", library]
    assert run("sine", *options).exit_code == RIGHT
    found = run(cube, *options)
    assert found.exit_code == WRONG and "it is 2/3 times what it should be" in found.stdout
    assert f"({cube}, {library}." in found.stdout


# Arguments ------------------------------------------------------------------------------------


def test_arrays_are_of_the_dtype_and_shape_that_is_asked_for():
    options = ["--vjp", "users:double_vjp", *FAST]
    for spec in ("float32[2,3]", " x : float32 [ 2, 3 ] "):
        assert run("double", "--arg", spec, *options).exit_code == RIGHT
    assert "AssertionError" in refused("double", "--arg", "float32[3,2]", *options)


def test_integer_arguments_are_small_unless_a_domain_says_which():
    places = ["--arg", "places: int64[5]"]
    assert run("taken", "--arg", "float64[3,2]", *places, *FAST).exit_code == RIGHT
    options = ["--vjp", "users:counted_vjp", *VECTOR, "--arg", "int32[2,2]", *FAST]
    assert run("counted", *options, "--domain", "4 < places <= 6").exit_code == RIGHT
    assert "AssertionError" in refused("counted", *options)


def test_literals_are_given_as_they_are_and_floats_are_differentiated():
    several = [x for each in ("(0, 1)", "True", "2.5") for x in ("--arg", each)]
    found = run("summed", "--arg", "float64[2,3]", *several, *FAST)
    assert found.exit_code == RIGHT
    names = ["--vjp", "users:chosen_vjp", *VECTOR, "--arg", "'mean'", *FAST]
    assert run("chosen", *names).exit_code == RIGHT
    assert run("cube", "--arg", "2.0", *FAST).exit_code == WRONG
    found = run("tilted", *VECTOR, "--arg", "{'a': 2.0}", *FAST)
    assert found.exit_code == WRONG and "argument 1['a']" in found.stdout


def test_a_domain_is_that_of_the_argument_it_names():
    pair = ["--vjp", "users:ratio_vjp", *VECTOR, *VECTOR]
    assert run("ratio", *pair).exit_code == WRONG
    assert run("ratio", *pair, "--domain", "x>0").exit_code == WRONG
    assert run("ratio", *pair, "--domain", "y>0").exit_code == RIGHT  # nor is another searched
    both = ["--domain", "0<y<=2", "--domain", "abs(x)<1"]
    assert run("ratio", *pair, *both).exit_code == RIGHT


def test_an_argument_may_be_named_where_it_is_asked_for():
    pair = ["--vjp", "users:ratio_vjp", "--arg", "a: float64[3]", "--arg", "b: float64[3]"]
    assert run("ratio", *pair, "--domain", "b>0").exit_code == RIGHT
    assert "no array is called y; arrays: a, b (name" in refused("ratio", *pair, "--domain", "y>0")


def test_any_name_will_do_for_the_only_array():
    pair = ["--vjp", "users:size_vjp", *VECTOR]
    assert run("size", *pair).exit_code == WRONG
    for text in ("x>0", "whatever>0", "1 <= abs(t) and t > 0"):
        assert run("size", *pair, "--domain", text).exit_code == RIGHT


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], 'give its arguments (x), as in --arg "float64[3,4]"'),
        (["--arg", "3"], "give its arguments (x)"),
        (["--arg", "flot64[3]"], '"flot64[3]": flot64 is no dtype'),
        (["--arg", "complex128[3]"], "complex128 is not checked; expected float or int"),
        (["--arg", "bool[3]"], "bool is not checked"),
        (["--arg", "float64[3"], 'expected an array as "float64[3,4]", or a Python literal'),
        (["--arg", "float64[-3]"], "or a Python literal"),
        (["--arg", "np.ones(3)"], "or a Python literal"),
        (["--arg", "int64[3]"], "swish has no floating-point argument"),
        ([*VECTOR, *VECTOR], "TypeError: swish() takes 1 positional argument but 2 were given"),
        ([*VECTOR, "--domain", "x>"], "--domain \"x>\": domain 'x>': expected a condition"),
        ([*VECTOR, "--domain", "x>1 and x<0"], "expected a condition that some number meets"),
    ],
)
def test_arguments_that_are_none(arguments, says):
    assert says in refused("swish", *arguments)


def test_domains_that_name_no_array():
    line = refused("product", *VECTOR, *VECTOR, "--domain", "z>0")
    assert line == (
        '--domain "z>0": no array is called z; arrays: x, y (name one as in --arg "z: float64[3]")'
    )
    assert "no array is called z" in refused("swish", "--arg", "2.0", "--domain", "z>0")


@pytest.mark.parametrize(
    ("domain", "shape"), [("0<places<1", "int64[2]"), ("places>300", "uint8[2]")]
)
def test_domains_without_numbers_of_a_dtype(domain, shape):
    options = [*VECTOR, "--arg", shape, "--domain", domain]
    assert "expected one with numbers of dtype" in refused("taken", *options)


def test_domains_beside_literals_of_several_floats():
    tree = ["--arg", "x: float64[3]", "--arg", "y: float64[3]", "--arg", "[2.0, 3.0]"]
    assert run("line", *tree, *FAST, "--domain", "y>0").exit_code == RIGHT


def test_all_conditions_on_an_array_hold():
    options = ["--vjp", "users:size_vjp", *VECTOR, "--domain", "x>0", "--domain", "x<1"]
    assert run("size", *options).exit_code == RIGHT


def test_lengths_are_separated_by_commas():
    assert "expected a shape such as [3,4]" in refused("swish", "--arg", "float64[3 4]")


def test_names_are_given_to_functions_of_tensors_as_they_are():
    options = ["--arg", "float64[3]", "--arg", "'mean'", *FAST]
    assert run("averaged", *options).exit_code == RIGHT


# What is named --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("users", "users: expected MODULE:NAME, as in my_package.layers:swish"),
        ("users:", "expected MODULE:NAME"),
        (":swish", "expected MODULE:NAME"),
        ("nowhere:swish", "cannot import nowhere: No module named 'nowhere'"),
        ("users.inner:swish", "cannot import users.inner: No module named 'users.inner'"),
        ("users:swosh", "users:swosh: users has no swosh"),
        ("users:Noise.smooth", "users has no Noise.smooth"),
        ("users:NUMBER", "users:NUMBER is int; expected a function, or a pair (f, vjp)"),
        ("broken:f", "broken:f: broken raises ZeroDivisionError: division by zero"),
    ],
)
def test_targets_that_are_none(folder, target, says):
    (folder / "broken.py").write_text("1 / 0\n")
    module, _, name = target.partition(":")
    given = name if ":" in target else None
    found = CliRunner().invoke(app, [target if given is None else f"{module}:{name}", *VECTOR])
    assert (found.exit_code, found.stdout) == (UNUSABLE, "")
    assert says in found.stderr and len(found.stderr.splitlines()) == 1


def test_targets_are_shown_as_they_were_typed():
    assert refused(":x:", module="users") == "users::x:: users has no :x:"


def test_modules_that_exit_are_refused(folder):
    (folder / "broken.py").write_text("import sys\nsys.exit(0)\n")
    assert "broken raises SystemExit" in refused("f", *VECTOR, module="broken")


def test_an_empty_pair_is_refused(folder):
    (folder / "users.py").write_text("PAIR = ()\n")
    assert "(f, vjp)" in refused("PAIR", *VECTOR)


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_libraries_that_are_absent(library, monkeypatch):
    for name in (library, f"{library}.numpy"):
        monkeypatch.setitem(sys.modules, name, None)
    assert library in refused("swish", *VECTOR, "--library", library)


def test_jax_arrays_are_of_the_dtype_that_is_asked_for(folder):
    pytest.importorskip("jax", reason="checks functions of JAX")
    (folder / "users.py").write_text(OF_JAX)
    found = run("cube", *VECTOR, *FAST, "--library", "jax")
    assert found.exit_code == WRONG and "float32" not in found.stdout


def test_rules_that_are_none():
    assert "users has no cosine" in refused("sine", "--vjp", "users:cosine", *VECTOR)
    assert "expected MODULE:NAME" in refused("sine", "--jvp", "sine_jvp", *VECTOR)


def test_functions_that_cannot_be_checked():
    assert refused("refuses", *VECTOR) == "RuntimeError: not today"
    assert "whole gives no floating-point result" in refused("whole", *VECTOR)


# Reports --------------------------------------------------------------------------------------


def test_reports_of_what_is_wrong(folder):
    names = ["r.txt", "r.json", "r.html"]
    reports = [x for name in names for x in ("--report", name)]
    assert run("cube", "--arg", "float64[2,3]", *FAST, *reports).exit_code == WRONG
    text, data, page = ((folder / name).read_text(encoding="utf-8") for name in names)

    assert "cube: the gradient (reverse mode) with respect to argument 0 is wrong" in text
    assert "2/3 times" in text

    found = json.loads(data)
    assert found["name"] == "cube" and "2/3 times" in found["failure"]
    (entries,) = found["entries"]
    assert (entries["of"], entries["shape"]) == ("rev, argument 0", [2, 3])
    got, expected = (np.array(entries[which]) for which in ("got", "expected"))
    np.testing.assert_allclose(3 * got, 2 * expected, atol=1e-12)
    assert len(entries["tolerance"]) == 6 and max(entries["tolerance"]) < 1e-3

    assert '<span class="wrong">wrong</span>' in page and "2/3 times" in page
    assert picture_in(page).size[0] > 500


def picture_in(page):
    """The picture of a page, which stands alone."""
    assert "http" not in page
    (encoded,) = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    image = Image.open(io.BytesIO(base64.b64decode(encoded)))
    image.load()
    return image


def test_reports_of_what_is_right(folder):
    deep = folder / "deep"
    deep.mkdir()
    names = [str(deep / name) for name in ("r.txt", "r.json", "r.html")]
    reports = [x for name in names for x in ("--report", name)]
    assert run("swish", *VECTOR, *FAST, *reports).exit_code == RIGHT
    text, data, page = (open(name, encoding="utf-8").read() for name in names)  # noqa: SIM115
    assert "order 2, rev: worst error" in text
    found = json.loads(data)
    assert (found["orders"], found["modes"], found["failure"]) == ([1, 2], ["rev", "fwd"], "")
    assert {each["of"] for each in found["entries"]} == {"rev, argument 0", "fwd, argument 0"}
    for each in found["entries"]:
        off = np.abs(np.subtract(each["got"], each["expected"]))
        assert (off <= each["tolerance"]).all()
    assert 0 < found["worst"] <= 1 and found["decided"] > 6
    assert '<span class="right">right</span>' in page and "order 2, of fwd" in page
    assert picture_in(page).format == "PNG"


def test_reports_of_what_is_undecided(folder):
    reports = ["--report", "r.json", "--report", "r.html"]
    pair = ["--vjp", "users:Noise.rough_vjp", *VECTOR, *FAST]
    assert run("Noise.rough", *pair, *reports).exit_code == UNDECIDED
    for each in json.loads((folder / "r.json").read_text())["entries"]:
        assert each["expected"] == [None] * 3
    assert '<span class="undecided">' in (folder / "r.html").read_text()


def test_names_are_escaped_in_pages_and_on_screen(folder):
    (folder / "users.py").write_text(
        "import numpy as np\n"
        "f = lambda x: np.sin(x)\n"
        'f.__name__ = "<b>[red]bold&"\n'
        "PAIR = (f, lambda g, x: g)\n"
    )
    found = run("PAIR", *VECTOR, *FAST, "--report", "r.html")
    assert found.exit_code == WRONG and "<b>[red]bold&: the gradient" in found.stdout
    page = (folder / "r.html").read_text()
    assert "<b>" not in page and "&lt;b&gt;[red]bold&amp;" in page


def test_reports_that_cannot_be_written():
    expected = "--report r.pdf: expected a name ending in .txt, .json, .html"
    assert refused("swish", *VECTOR, "--report", "r.pdf") == expected
    line = refused("swish", *VECTOR, "--report", "missing/r.txt")
    assert line == "--report missing/r.txt: there is no folder missing"
