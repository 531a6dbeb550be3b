"""What a captured function reads from outside: changes are seen, whoever makes them and however."""

import collections
import functools
import random
import threading
import types
import warnings

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import jit
from autograd_core.capture.contents import COMPARED_WHOLE

X = np.arange(1.0, 4.0)


def close(a, b):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-12, atol=1e-12)


# Names ----------------------------------------------------------------------------------------


class Layer:
    def __init__(self):
        self.w = 2.0

    def __call__(self, x):
        return self.helper(x)

    def helper(self, x):
        return x * self.w

    def by_name(self, x):
        return x * getattr(self, "w")  # noqa: B009

    @property
    def weight(self):
        return self.w

    def by_property(self, x):
        return x * self.weight


class Slotted:
    __slots__ = ("k",)


def _layers():
    layers = [Layer(), Layer()]

    def f(x):
        for layer in layers:
            x = layer(x)
        return x

    return f, lambda: setattr(layers[0], "w", 9.0)


def _layer(method):
    def case():
        layer = Layer()
        return getattr(layer, method), lambda: setattr(layer, "w", 9.0)

    return case


def _inside_lambda():
    layer = Layer()
    return lambda x: layer(x), lambda: setattr(layer, "w", 9.0)


def _class_attribute():
    class C:
        k = 2.0

    return lambda x: x * C.k, lambda: setattr(C, "k", 9.0)


def _class_attribute_of_instance():
    class C:
        k = 2.0

    c = C()
    return lambda x: x * c.k, lambda: setattr(C, "k", 9.0)


def _hidden_class_attribute():
    class C:
        k = 2.0

    c = C()
    return lambda x: x * c.k, lambda: setattr(c, "k", 9.0)


def _slots():
    s = Slotted()
    s.k = 2.0
    return lambda x: x * s.k, lambda: setattr(s, "k", 9.0)


def _module():
    m = types.ModuleType("settings")
    m.k = 2.0
    return lambda x: x * m.k, lambda: setattr(m, "k", 9.0)


def _set():
    s = {2.0}
    return lambda x: x * sum(s), lambda: s.add(9.0)


def _deque():
    d = collections.deque([2.0])
    return lambda x: x * sum(d), lambda: d.append(9.0)


def _partial():
    d = {"a": 2.0}
    return functools.partial(lambda d, x: x * d["a"], d), lambda: d.update(a=9.0)


def _default():
    def f(x, settings={"a": 2.0}):  # noqa: B006
        return x * settings["a"]

    return f, lambda: f.__defaults__[0].update(a=9.0)


def _many_objects():
    many = [types.SimpleNamespace(a=1.0, b=2.0) for _ in range(700)]
    return lambda x: x * sum(o.a for o in many), lambda: setattr(many[-1], "a", 9.0)


def _counter_in_the_same_dictionary():
    state = {"calls": 0, "rate": 1.0}

    def f(x):
        state["calls"] += 1
        return x * state["rate"]

    return f, lambda: state.update(rate=9.0)


def _same_name_in_another_object():
    a, b = types.SimpleNamespace(k=0), types.SimpleNamespace(k=1.0)

    def f(x):
        a.k += 1
        return x * b.k

    return f, lambda: setattr(b, "k", 9.0)


@pytest.mark.parametrize(
    "case",
    [
        _layers, _layer("__call__"), _layer("by_name"), _layer("by_property"), _inside_lambda,
        _class_attribute, _class_attribute_of_instance, _hidden_class_attribute, _slots, _module,
        _set, _deque, _partial, _default, _many_objects, _counter_in_the_same_dictionary,
        _same_name_in_another_object,
    ],
)  # fmt: skip
def test_changes_are_seen(case):
    f, change = case()
    fast = jit(f)
    before = fast(X)
    close(before, f(X))
    change()
    close(fast(X), f(X))
    assert not np.array_equal(fast(X).numpy(), before.numpy())


def test_functions_as_static_arguments():
    k = {"k": 2.0}
    f = jit(lambda x, act: act(x), static_argnums=1)
    act = lambda x: x * k["k"]
    close(f(X, act), 2 * X)
    k["k"] = 9.0
    close(f(X, act), 9 * X)


def test_other_attributes_do_not_capture_again():
    captures = 0

    class Trainer:
        def __init__(self):
            self.rate, self.steps, self.losses = 0.1, 0, np.zeros(3)
            self.fast = jit(self.step)

        def step(self, x):
            nonlocal captures
            captures += 1
            return x * self.rate

    trainer = Trainer()
    for n in range(4):
        close(trainer.fast(X), X * 0.1)
        trainer.steps += 1
        trainer.losses[0] = n
    assert captures == 1


# Arrays ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda a: ac.grad(lambda x: ac.sum(x * a)),
        lambda a: ac.grad(lambda x: ac.sum(x * x * a)),
        lambda a: lambda x: x * ac.exp(a),
        lambda a: lambda x: x * (a * 2),
        lambda a: lambda x: x * a.astype("f4"),
        lambda a: lambda x: x * float(a[0]),
        lambda a: lambda x: x * (ac.asarray(a)[::-1] * 2),
    ],
)
def test_arrays_that_are_computed_with(make):
    a = np.ones(3)
    f = make(a)
    fast = jit(f)
    close(fast(X), f(ac.asarray(X)))
    a[:] = [5.0, 6.0, 7.0]
    close(fast(X), f(ac.asarray(X)))


def test_large_arrays_that_are_computed_with():
    a = np.ones(COMPARED_WHOLE)
    fast = jit(lambda x: x * np.sum(a))
    before = fast(X).numpy()
    a += 1
    close(fast(X), before * 2)


def test_arrays_that_the_graph_reads_do_not_capture_again():
    captures, a = 0, np.ones(3)

    def f(x):
        nonlocal captures
        captures += 1
        return x * a

    fast = jit(f)
    for n in range(4):
        a[:] = n
        close(fast(X), X * n)
    assert captures == 1


# What is refused ------------------------------------------------------------------------------


def test_writing_into_a_container():
    def f(p):
        p["w"] = p["w"] - 1.0
        return ac.sum(p["w"])

    with pytest.raises(ac.AutogradError, match=r"changes its argument \[0\]\['w'\]"):
        jit(f)({"w": np.ones(3)})
    with pytest.raises(ac.AutogradError, match="changes its argument"):
        jit(lambda xs: xs.append(xs[0]))([X])


def test_storing_a_traced_value_is_told():
    class Norm:
        def __init__(self):
            self.mean = ac.asarray(0.0)

        def __call__(self, x):
            self.mean = 0.5 * self.mean + 0.5 * ac.mean(x)
            return x - self.mean

    with pytest.warns(RuntimeWarning, match="stores a value that it computes in 'mean'"):
        jit(Norm())(X)
    t = ac.asarray(np.zeros(3))

    def f(x):
        t[0] = ac.sum(x)
        return x * 2

    with pytest.warns(RuntimeWarning, match="in 't'"):
        jit(f)(X)


@pytest.mark.parametrize(
    ("generator", "draw"),
    [
        (np.random.default_rng(0), lambda g: g.normal(size=3)),
        (np.random.RandomState(0), lambda g: g.normal(size=3)),
        (random.Random(0), lambda g: g.random()),
    ],
)
def test_generators_from_outside(generator, draw):
    with pytest.raises(ac.AutogradError, match="random numbers from a generator"):
        jit(lambda x: x + draw(generator))(X)


def test_another_thread_may_draw():
    stop = threading.Event()

    def load():
        while not stop.is_set():
            np.random.rand()  # noqa: NPY002

    def f(x):
        for n in range(300):
            x = ac.sin(x) + n
        return x

    thread = threading.Thread(target=load)
    thread.start()
    try:
        close(jit(f)(X), f(X))
        with pytest.raises(ac.AutogradError, match="random numbers from a generator"):
            jit(lambda x: f(x) + np.random.rand())(X)  # noqa: NPY002
    finally:
        stop.set()
        thread.join()


def test_no_warning_without_reason():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        close(jit(lambda x: x * 2)(X), X * 2)
