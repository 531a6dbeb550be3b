"""Plans on disk: found by those who would have made the same, and by nobody else."""

import json
import subprocess
import sys

import numpy as np
import pytest

import autograd_core as ac
from autograd_core.capture.lowering import kept, program
from autograd_core.capture.lowering.plan import from_data, to_data
from kernels.cpu.lazy import numba_loads
from tests.capture.test_networks import Network
from tests.capture.test_passes import graph_of

pytestmark = pytest.mark.skipif(not numba_loads(), reason="METAGRAD_NUMBA=0: no programs")
X = np.random.default_rng(0).standard_normal((6, 5)).astype(np.float32)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("METAGRAD_CACHE", str(tmp_path))
    monkeypatch.setattr(kept, "MANY", 1)
    return tmp_path / "programs"


def planning_is_refused(*_args):
    raise AssertionError("planned again")


def f(x):
    """Something of everything: products, loops, sums, a constant array, labels."""
    w = ac.asarray(np.linspace(-1, 1, 20, dtype=np.float32).reshape(5, 4))
    labels = ac.asarray([0, 1, 2, 3, 0, 1])
    return ac.nn.cross_entropy(ac.tanh(x @ w), labels)


def step(x):
    return ac.grad(f)(x)


# The next one finds it ------------------------------------------------------------------------


def test_a_kept_plan_does_the_same(monkeypatch):
    first = ac.jit(step)
    expected = first(X).numpy()
    told = str(first.explain(X))
    monkeypatch.setattr(program, "planned", planning_is_refused)
    monkeypatch.setattr(program, "improve", planning_is_refused)
    again = ac.jit(step)
    assert again(X).numpy().tobytes() == expected.tobytes()
    assert str(again.explain(X)) == told


def test_steps_of_a_kept_plan_are_measured():
    told = ac.jit(step).explain(X, timed=True)
    again = ac.jit(step).explain(X, timed=True)
    assert [s.what for s in again.steps] == [s.what for s in told.steps]
    assert all(s.seconds > 0 for s in again.steps)


@pytest.mark.parametrize("seed", range(8))
def test_kept_plans_of_random_networks(seed, monkeypatch):
    """Turns on several threads, sums over tasks, tables of windows."""
    monkeypatch.setattr("autograd_core.capture.lowering.planning.WORTH_A_THREAD", 0.0)
    monkeypatch.setattr("autograd_core.capture.lowering.planning.thread_count", lambda: 2)
    network = Network(seed)
    params, tasks = ac.tree_map(ac.asarray, network.params), network.data()
    meta = ac.value_and_grad(network.meta)
    expected = ac.tree_leaves(ac.jit(meta, quiet=True)(params, *tasks))
    plans = [
        jitted.run.plan
        for _ in range(2)
        for fast in [ac.jit(meta, quiet=True)]
        for got in [ac.tree_leaves(fast(params, *tasks))]
        for jitted in fast._captured.entries.values()
        if [x.numpy().tobytes() for x in got] == [x.numpy().tobytes() for x in expected]
    ]
    assert len(plans) == 2
    if plans[0].is_native:
        assert not plans[0].routines


def test_a_plan_survives_json():
    fast = ac.jit(step)
    fast(X)
    (entry,) = fast._captured.entries.values()
    data = to_data(entry.run.plan)
    assert json.loads(json.dumps(to_data(from_data(json.loads(json.dumps(data)))))) == json.loads(
        json.dumps(data)
    )


def test_another_process_finds_it():
    code = (
        "import numpy as np, autograd_core as ac\n"
        "from autograd_core.capture.lowering import kept\n"
        "kept.MANY = 1\n"
        "f = ac.jit(ac.grad(lambda x: ac.sum(ac.tanh(x) * np.float32(3))))\n"
        "f(np.ones(4, np.float32))\n"
        "print(bool(next(iter(f._captured.entries.values())).run.plan.routines))"
    )
    said = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert [x.stdout.strip() for x in said] == ["True", "False"]


# Others do not --------------------------------------------------------------------------------

DIFFERENT = [
    lambda x: x * 2.0,
    lambda x: x * True,
    lambda x: x * 0.0,
    lambda x: x * -0.0,
    lambda x: x + 2.0,
    lambda x: ac.copysign(x, float("nan")),
    lambda x: ac.copysign(x, -float("nan")),
    lambda x: ac.sum(x, 0),
    lambda x: ac.sum(x, 1),
    lambda x: x[1:3],
    lambda x: x[1:4],
    lambda x: ac.sin(x),
    lambda x: (ac.sin(x), x),
    lambda x: (x, ac.sin(x)),
    lambda x: x * np.arange(5, dtype=np.float32),
    lambda x: x * np.arange(1, 6, dtype=np.float32),
    lambda x: x.astype(np.float64),
    lambda x: ac.vmap(ac.sin)(x),
    lambda x: ac.scan(lambda c, y: (c + ac.sum(y), c), ac.sum(x), x)[0],
    lambda x: ac.scan(lambda c, y: (c - ac.sum(y), c), ac.sum(x), x)[0],
]


def test_names_tell_graphs_apart():
    arguments = [X, X.astype(np.float64), X[:, :3], X[:5]]
    names = [kept.name_of(graph_of(f, x)) for x in arguments[:1] for f in DIFFERENT]
    names += [kept.name_of(graph_of(ac.sin, x)) for x in arguments[1:]]
    assert None not in names
    assert len(set(names)) == len(names)
    assert kept.name_of(graph_of(ac.sin, X)) == kept.name_of(graph_of(ac.sin, X))


def test_names_tell_machines_threads_and_sources_apart(monkeypatch):
    graph = graph_of(f, X)
    names = {kept.name_of(graph)}
    for what, value in (("host", ("other",)), ("thread_count", 77), ("_sources", "other")):
        with monkeypatch.context() as patch:
            patch.setattr(kept, what, lambda value=value: value)
            names.add(kept.name_of(graph))
    assert len(names) == 4


def test_what_has_no_name(monkeypatch):
    with pytest.raises(TypeError, match="no words"):
        kept.written({"f": lambda: 0})
    large = np.arange(kept.MOST_BYTES // 4 + 1, dtype=np.float32)
    assert kept.name_of(graph_of(lambda x: x + np.copy(large), np.float32(1))) is None
    monkeypatch.setattr(kept, "_sources", lambda: None)
    assert kept.name_of(graph_of(f, X)) is None


def test_small_graphs_are_not_kept(cache, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("METAGRAD_CACHE", str(cache.parent))
    ac.jit(step)(X)
    assert len(list(cache.iterdir())) == 1  # the machine code


def test_what_is_left_to_python_is_not_kept(cache):
    sort = ac.jit(lambda x: ac.sort(x * 2, 0))
    sort(X)
    assert len(list(cache.iterdir())) == 1
    np.testing.assert_array_equal(ac.jit(lambda x: ac.sort(x * 2, 0))(X).numpy(), np.sort(X * 2, 0))


# What may be missing --------------------------------------------------------------------------


def test_code_or_plan_deleted_or_broken(cache):
    expected = ac.jit(step)(X).numpy()
    files = sorted(cache.iterdir())
    assert len(files) == 2
    for path in files:
        for spoil in (lambda p: p.unlink(), lambda p: p.write_bytes(p.read_bytes()[:-1])):
            spoil(path)
            np.testing.assert_array_equal(ac.jit(step)(X).numpy(), expected)
            assert sorted(cache.iterdir()) == files


def test_nowhere_to_keep(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("METAGRAD_CACHE", str(tmp_path / "file"))
    for _ in range(2):
        np.testing.assert_allclose(
            ac.jit(step)(X).numpy(), step(ac.asarray(X)).numpy(), rtol=1e-5, atol=1e-7
        )
