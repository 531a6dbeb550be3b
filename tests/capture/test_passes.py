"""Each pass fires where it should, and changes no value anywhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd_core as ac
from autograd_core import nn
from autograd_core.capture.graph import Graph, GraphError, Variable, check, evaluate
from autograd_core.capture.passes import PASSES, improve
from autograd_core.capture.passes.algebra import RULES, simplify
from autograd_core.capture.passes.constants import fold_constants
from autograd_core.capture.passes.dead import drop_dead
from autograd_core.capture.passes.duplicates import merge_duplicates
from autograd_core.capture.passes.expand import expand
from autograd_core.capture.passes.pooling import expand_pooling
from autograd_core.capture.trace import capture
from autograd_core.tensor import aval_of
from autograd_core.testing import random_programs, well_separated

RNG = np.random.default_rng(0)
X = RNG.standard_normal((3, 4))
ROW = RNG.standard_normal(4)


def graph_of(f, *args) -> Graph:
    return capture(lambda *xs: [f(*xs)], [Variable(aval_of(ac.asarray(x))) for x in args]).graph


def names(graph: Graph) -> list[str]:
    return [e.primitive.name for e in graph.equations]


def same(graph: Graph, other: Graph, *args) -> None:
    for got, expected in zip(evaluate(other, args), evaluate(graph, args), strict=True):
        np.testing.assert_allclose(
            ac.asarray(got).numpy(), ac.asarray(expected).numpy(), rtol=1e-12, atol=1e-12
        )


# Each fires -----------------------------------------------------------------------------------


def test_dead_code():
    graph = graph_of(lambda x: (ac.sin(x), ac.cos(x))[1], X)
    assert names(graph) == ["sin", "cos"]
    assert names(drop_dead(graph)) == ["cos"]


def test_dead_results_and_carries_of_scans():
    def f(x):
        (a, _), (seen, _) = ac.scan(
            lambda c, x: ((c[0] * x, c[1] + c[0]), (c[0], c[1])), (x[0], x[1]), x
        )
        return a + seen[0]

    graph = graph_of(f, X)
    less = drop_dead(graph)
    (scan,) = (e for e in less.equations if e.primitive.name == "scan")
    assert (scan.params["carried"], len(scan.outputs)) == (1, 2)
    assert names(scan.params["graph"]) == ["multiply"]
    same(graph, less, X)


def test_duplicates():
    graph = graph_of(lambda x: ac.sin(x) + ac.sin(x), X)
    assert names(merge_duplicates(graph)) == ["sin", "add"]


def test_duplicates_with_other_parameters_or_signs_of_zero_stay():
    graph = graph_of(lambda x: ac.sum(x, 0) + ac.sum(x, 1)[:1] + (x[0] * 0.0) / (x[0] * -0.0), X)
    assert names(merge_duplicates(graph)).count("sum") == 2
    assert names(merge_duplicates(graph)).count("multiply") == 2


def test_recomputation_is_not_merged():
    f = ac.checkpoint(lambda x: ac.sum(ac.sin(ac.sin(x))))
    both = lambda f: lambda x: ac.add(*ac.value_and_grad(f)(x))
    graph = graph_of(both(f), X)
    plain = graph_of(both(lambda x: ac.sum(ac.sin(ac.sin(x)))), X)
    assert names(improve(graph)).count("sin") == names(improve(plain)).count("sin") + 1


def test_constants():
    graph = graph_of(lambda x: x + ac.sin(ac.ones(4) * 2.0), ROW)
    folded = drop_dead(fold_constants(graph))
    assert names(folded) == ["broadcast", "add"]
    same(graph, folded, ROW)


def test_expand():
    graph = graph_of(lambda x: nn.log_softmax(x) + nn.softmax(x), X)
    expanded = expand(graph)
    assert {"exp", "max", "log", "divide"} <= set(names(expanded))
    same(graph, expanded, X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64])
@pytest.mark.parametrize("find", [ac.argmax, ac.argmin])
@pytest.mark.parametrize(("shape", "axis"), [((5,), 0), ((3, 7), 1), ((4, 5, 6), 1), ((2, 1), -1)])
def test_places_of_extrema(dtype, find, shape, axis):
    """The first of equal ones, and the first NaN, as NumPy's."""
    rng = np.random.default_rng(0)
    x = ac.asarray(rng.integers(-1, 2, size=shape).astype(dtype))
    given = [x]
    if np.issubdtype(dtype, np.floating):
        given.append(ac.where(rng.random(shape) < 0.3, np.nan, x))
    graph = graph_of(lambda x: find(x, axis=axis), x)
    expanded = expand(graph)
    assert {"argmax", "argmin"}.isdisjoint(names(expanded))
    for x in given:
        same(graph, expanded, x)
        found = ac.jit(lambda x: find(x, axis=axis))(x)
        np.testing.assert_array_equal(found, getattr(np, find.__name__)(x.numpy(), axis))
        assert found.dtype == np.int64


def test_places_that_stay_with_numpy():
    for x in (np.zeros(5000), np.zeros((0, 3)), np.zeros(3, bool), np.zeros(3, np.int8)):
        axis = x.ndim - 1
        assert "argmax" in names(expand(graph_of(lambda x, a=axis: ac.argmax(x, a), ac.asarray(x))))


@pytest.mark.parametrize(("window", "stride", "size"), [(2, 2, 6), (2, 2, 7), (3, 2, 7), (2, 1, 5)])
def test_pooling(window, stride, size):
    x = RNG.standard_normal((2, 3, size, size)).round(1)  # with ties
    pool = lambda x: nn.max_pool2d(x, window, stride)
    for f in (pool, ac.grad(lambda x: ac.sum(pool(x) ** 3))):
        graph = graph_of(f, x)
        expanded = drop_dead(expand_pooling(graph))
        assert "pick" not in names(expanded)
        assert ("place" in names(expanded)) == ("place" in names(graph) and window != stride)
        same(graph, expanded, x)


def test_pooling_of_nan_and_infinity():
    x = np.array([[np.nan, 1, -np.inf, -np.inf], [2, np.nan, -np.inf, -np.inf]] * 2).reshape(
        1, 1, 4, 4
    )
    graph = graph_of(lambda x: nn.max_pool2d(x, 2), x)
    np.testing.assert_array_equal(
        evaluate(expand_pooling(graph), [x])[0].numpy(), evaluate(graph, [x])[0].numpy()
    )


RULE_CASES = {
    "_add_zero": (lambda x: x + 0.0, []),
    "_subtract_zero": (lambda x: x - 0.0, []),
    "_multiply_by_one": (lambda x: 1.0 * x, []),
    "_divide_by_one": (lambda x: x / 1.0, []),
    "_negate_twice": (lambda x: ac.negative(-x), []),
    "_add_negated": (lambda x: ac.sin(x) + -x, ["sin", "subtract"]),
    "_reshape_twice": (lambda x: ac.reshape(ac.reshape(x, (12,)), (4, 3)), ["reshape"]),
    "_nothing_to_do": (lambda x: ac.stop_gradient(x), []),
    "_transpose_twice": (lambda x: ac.sin(x.T.T), ["sin"]),
    "_transpose_of_product": (lambda x: (x @ x.T).T, ["transpose", "matmul"]),
    "_broadcast_twice": (
        lambda x: ac.broadcast_to(ac.broadcast_to(x, (2, 3, 4)), (5, 2, 3, 4)),
        ["broadcast"],
    ),
    "_repeated_number": (
        lambda x: x + ac.broadcast_to(ac.sum(x), (4, 3)).T,
        ["sum", "broadcast", "add"],
    ),
    "_sum_of_repeated": (
        lambda x: ac.sum(ac.broadcast_to(x, (5, 3, 4)), 0),
        ["multiply"],
    ),
    "_sum_of_one": (lambda x: ac.sum(x[None], 0), []),
    "_sum_twice": (lambda x: ac.sum(ac.sum(x, 0), 0), ["sum"]),
    "_select_of_one": (None, None),
}


def test_every_rule_has_a_case():
    assert {r.__name__ for rules in RULES.values() for r in rules} == set(RULE_CASES)


@pytest.mark.parametrize("name", [n for n, (f, _) in RULE_CASES.items() if f])
def test_rule(name):
    f, expected = RULE_CASES[name]
    graph = graph_of(f, X)
    simple = drop_dead(merge_duplicates(simplify(merge_duplicates(graph))))
    assert names(simple) == expected
    same(graph, simple, X)


def test_transposes_of_products():
    stacks = np.arange(24.0).reshape(2, 3, 4) / 24
    swapped = graph_of(lambda x: ac.transpose(ac.swapaxes(x, 1, 2) @ x, (0, 2, 1)), stacks)
    assert names(drop_dead(simplify(swapped))) == ["transpose", "matmul"]
    same(swapped, simplify(swapped), stacks)
    single = graph_of(lambda x: ac.swapaxes(ac.sum(x, 0).T @ x, 1, 2), stacks)
    assert names(drop_dead(simplify(single)))[-1] == "matmul"
    same(single, simplify(single), stacks)
    moved = graph_of(lambda x: ac.transpose(ac.swapaxes(x, 1, 2) @ x, (1, 0, 2)), stacks)
    assert names(simplify(moved)) == names(moved)
    both = graph_of(lambda x: (product := x @ x.T, product.T), X)
    assert names(simplify(both)).count("matmul") == 1


@pytest.mark.parametrize("name", [n for n, (f, _) in RULE_CASES.items() if f])
def test_rule_is_what_fires(name, monkeypatch):
    f, expected = RULE_CASES[name]
    off = {k: [r for r in rules if r.__name__ != name] for k, rules in RULES.items()}
    monkeypatch.setattr("autograd_core.capture.passes.algebra.RULES", off)
    graph = graph_of(f, X)
    assert names(drop_dead(merge_duplicates(simplify(graph)))) != expected


# Masks of relu --------------------------------------------------------------------------------


def normalised(x):
    centred = x - ac.mean(x, 0)
    return nn.relu(centred / ac.sqrt(ac.mean(centred**2, 0) + 1e-5)) ** 2


def masks(f, *args) -> list[str]:
    """What the arguments of masks are made by."""
    graph = improve(graph_of(ac.grad(lambda *xs: ac.sum(f(*xs))), *args))
    made = {y: e.primitive.name for e in graph.equations for y in e.outputs}
    return [made[e.inputs[0]] for e in graph.equations if e.primitive.name == "greater"]


def test_masks_behind_a_normalisation_are_those_of_its_result():
    x = RNG.standard_normal((40, 4))
    x[3, 2] = np.nan
    assert masks(normalised, x) == ["divide"]
    f = ac.grad(lambda x: ac.sum(normalised(x)))
    np.testing.assert_allclose(ac.jit(f)(x).numpy(), f(x).numpy(), rtol=1e-12, atol=1e-12)


def test_masks_that_would_keep_what_is_done_with_are_those_of_relu():
    """x @ w is needed by nothing but relu; two large values are more to read than one."""
    w, y = RNG.standard_normal((4, 4)), RNG.standard_normal((3, 4))
    assert masks(lambda w: nn.relu(X @ w + 1.0) @ w, w) == ["relu"]
    assert masks(lambda x, y: nn.relu(ac.exp(x @ w) * (y @ w)) ** 2, X, y) == ["relu"]
    assert masks(lambda x: nn.relu((x @ w) * 2.0) * (x @ w), X) == ["multiply"]


# Each is harmless -----------------------------------------------------------------------------

WASTEFUL = [
    lambda x: nn.cross_entropy(x * 2, ac.asarray([0, 1, 2])),
    lambda x: ac.sum(ac.var(x, 0) / (1 + ac.mean(x, 1, keepdims=True) ** 2)),
    lambda x: ac.sum(nn.max_pool2d(ac.reshape(x, (1, 1, 3, 4)), (1, 2)) ** 2),
]


@pytest.mark.parametrize("off", PASSES[1:], ids=lambda p: p.__name__)
@pytest.mark.parametrize("f", WASTEFUL)
def test_without_a_pass(f, off):
    graph = graph_of(ac.grad(lambda x: ac.sum(ac.grad(f)(x) ** 2)), X)
    same(graph, improve(graph), X)
    same(graph, improve(graph, [p for p in PASSES if p is not off]), X)


def test_passes_leave_less():
    graph = graph_of(ac.grad(lambda x: ac.sum(ac.grad(WASTEFUL[1])(x) ** 2)), X)
    assert len(improve(graph).equations) < len(graph.equations)


# The checker ----------------------------------------------------------------------------------


def broken(change) -> Graph:
    graph = graph_of(lambda x: ac.sin(x) * 2.0, X)
    change(graph)
    return graph


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g.equations.reverse(), "before it is defined"),
        (lambda g: g.equations.append(g.equations[0]), "defined twice"),
        (lambda g: g.outputs.append(Variable(g.inputs[0].aval)), "not defined"),
        (
            lambda g: g.equations.__setitem__(
                0, g.equations[0]._replace(outputs=(Variable(aval_of(np.ones(3))),))
            ),
            "expected outputs",
        ),
    ],
)
def test_a_broken_graph_is_found(change, message):
    with pytest.raises(GraphError, match=message):
        check(broken(change))


def test_text():
    assert str(graph_of(lambda x: ac.sum(ac.sin(x) * 2.0, 0), X)).splitlines() == [
        "inputs a:f64[3,4]",
        "  b:f64[3,4] = sin a",
        "  c:f64[3,4] = multiply b 2.0",
        "  d:f64[4] = sum axes=(0,) c",
        "outputs d",
    ]


def test_picture():
    pytest.importorskip("graphviz", reason="pictures of graphs need the package graphviz")
    source = graph_of(lambda x: ac.sum(ac.sin(x) * 2.0, 0), X).picture().source
    assert "multiply" in source and "f64[3,4]" in source and "equation0 -> equation1" in source


# Random programs ------------------------------------------------------------------------------


@settings(max_examples=150)
@given(data=st.data())
def test_random_programs_jitted(data):
    """Programs with transforms in them give the same compiled as they do eagerly."""
    shape = data.draw(st.sampled_from([(), (2,), (3,), (2, 2), (1, 3), (2, 1), (2, 3)]))
    program = data.draw(random_programs(5, data.draw(st.integers(1, 2)), shape))
    x = data.draw(well_separated(shapes=shape, domain="abs(x)<1.5"))
    expected = program(x).numpy()
    got = ac.jit(program)(x).numpy()
    assert got.shape == expected.shape
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-11 * scale)


def test_negated_integers_wrap_before_they_are_converted():
    y = np.array([1, 5], np.uint8)
    for f in (lambda x, y: x + (-y), lambda x, y: x - (-y)):
        for x in (np.arange(2), np.arange(2.0)):
            np.testing.assert_array_equal(ac.jit(f)(x, y).numpy(), f(x, y))


def test_a_sum_of_nothing_repeated():
    f = lambda x: ac.sum(ac.broadcast_to(x, (0, 3)), axis=0)
    assert ac.jit(f)(np.array([np.inf, np.nan, 1.0])).tolist() == [0.0, 0.0, 0.0]
