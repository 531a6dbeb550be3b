"""What a captured function reads from outside: changes are seen, whoever makes them and however."""

import collections
import dataclasses
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
from autograd_core.capture.watch import Watch

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


def _dictionary(before, change):
    def case():
        d = dict(before)
        return lambda x: x * (d["b"] or 3.0) if "b" in d else -x, lambda: change(d)

    return case


class Items:
    """Read by special methods only."""

    def __init__(self):
        self.items = {"rate": 2.0}

    def __getitem__(self, key):
        return self.items[key]

    def __iter__(self):
        return iter(self.items.values())


def _special_method():
    items = Items()
    return lambda x: x * items["rate"], lambda: items.items.update(rate=9.0)


def _iteration():
    items = Items()
    return lambda x: x * sum(items), lambda: items.items.update(other=9.0)


class Described:
    class Inner:
        scale = 2.0

    class Descriptor:
        def __get__(self, instance, owner=None):
            return instance.hidden

    described = Descriptor()


def _nested_class():
    return lambda x: x * Described.Inner.scale, lambda: setattr(
        Described.Inner, "scale", Described.Inner.scale + 1
    )


def _descriptor():
    d = Described()
    d.hidden = 2.0
    return lambda x: x * d.described, lambda: setattr(d, "hidden", 9.0)


def _computed_name():
    n = types.SimpleNamespace(w0=1.0, w1=2.0)
    return lambda x: x * sum(getattr(n, f"w{i}") for i in range(2)), lambda: setattr(n, "w1", 9.0)


def _vars():
    n = types.SimpleNamespace(w0=1.0, w1=2.0)
    return lambda x: x * sum(vars(n).values()), lambda: setattr(n, "w1", 9.0)


def _subclass_of_list():
    many = type("Many", (list,), {})([2.0])
    return lambda x: x * many[0], lambda: many.__setitem__(0, 9.0)


def _view_of_dictionary():
    d = {"a": 2.0}
    view = types.MappingProxyType(d)
    return lambda x: x * view["a"], lambda: d.update(a=9.0)


def _cycle():
    d = {"a": 2.0}
    d["self"] = d
    return lambda x: x * d["a"], lambda: d.update(a=9.0)


def _made_when_first_called():
    layer = types.SimpleNamespace(w=None)

    def f(x):
        if layer.w is None:
            layer.w = np.full(3, 2.0)
        return x * layer.w

    return f, lambda: setattr(layer, "w", np.full(3, 9.0))


def _asked_for(how):
    """Attributes that are not there when the function is captured."""
    config = types.SimpleNamespace(other=1.0)

    def by_try(x):
        try:
            return x * config.scale
        except AttributeError:
            return x

    def by_hasattr(x):
        return x * 9.0 if hasattr(config, "scale") else x

    f = {"getattr": lambda x: x * getattr(config, "scale", 1.0), "try": by_try}
    return lambda: (f.get(how, by_hasattr), lambda: setattr(config, "scale", 9.0))


def _method_of_the_instance():
    layer = _Runs()
    return lambda x: layer.run(x), lambda: setattr(layer, "run", lambda x: x * 9.0)


class _Runs:
    def run(self, x):
        return x


def _global_defined_later():
    def f(x):
        try:
            return x * DEFINED_LATER
        except NameError:
            return x

    return f, lambda: globals().update(DEFINED_LATER=9.0)


@pytest.mark.parametrize(
    "case",
    [
        _asked_for("getattr"), _asked_for("hasattr"), _asked_for("try"), _method_of_the_instance,
        _global_defined_later,
        _dictionary({"a": None, "b": 0.1}, lambda d: d.update(a=0.1, b=None)),
        _dictionary({"b": 2.0}, lambda d: d.update(c=d.pop("b"))),
        _special_method, _iteration, _nested_class, _descriptor, _computed_name, _vars,
        _subclass_of_list, _view_of_dictionary, _cycle, _made_when_first_called,
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


grad = None
"""A name that scripts give to what is also an attribute of this package."""


def test_names_of_others_do_not_capture_again():
    global grad
    captures, w = 0, np.ones(3)

    def step(w):
        nonlocal captures
        captures += 1
        return ac.grad(lambda w: ac.sum(w * w))(w)

    fast = jit(step)
    for _ in range(4):
        grad = fast(w)
        w = w - 0.1 * grad
    assert captures == 1

    class Model:
        def loss(self, w, x):
            return ac.mean((w * x) ** 2)

    class Trainer:
        def __init__(self):
            self.model, self.loss, self.captures = Model(), 0.0, 0
            self.fast = jit(self.step)

        def step(self, w, x):
            self.captures += 1
            return ac.value_and_grad(self.model.loss)(w, x)

    trainer = Trainer()
    for _ in range(4):
        trainer.loss = float(trainer.fast(np.ones(3), X)[0])
    assert trainer.captures == 1


def test_equal_values_do_not_capture_again():
    captures = 0

    class Model:
        def step(self, x):
            nonlocal captures
            captures += 1
            return x.reshape(self.shape) * self.rate * self.scale

    model = Model()
    fast = jit(model.step)
    for _ in range(4):
        model.shape, model.rate, model.scale = tuple([3]), np.float64(0.5), float("1.5")
        close(fast(X), X * 0.75)
    assert captures == 1


def test_counters_do_not_capture_again():
    captures = []
    f = jit(lambda x: (captures.append(x.shape), x * 2)[1])
    for _ in range(2):
        f(X)
        f(X[:2])
    assert len(captures) == 2


def test_objects_that_answer_everything():
    class Proxy:
        def __getattr__(self, name):
            return Proxy()

        def __call__(self):
            return 2.0

    class Broken:
        k = 2.0

        def __getattr__(self, name):
            raise RuntimeError(name)

    class Keys(dict):
        __getattr__ = dict.__getitem__

    proxy, broken, keys = Proxy(), Broken(), Keys(k=2.0)
    close(jit(lambda x: x * proxy.any())(X), X * 2)
    close(jit(lambda x: x * broken.k)(X), X * 2)
    close(jit(lambda x: x * keys.k)(X), X * 2)


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


def test_parts_of_large_arrays():
    a = np.zeros((1024, 784))
    fast = jit(lambda x: ac.sum(x * ((ac.asarray(a) - 0.5) * 2)))
    fast(1.0)
    a[:, 300:500] = 1.0
    close(fast(1.0), np.sum((a - 0.5) * 2))
    view = a[1000, 3:6]
    small = jit(lambda x: x * (view * 2))
    close(small(X), X * 0)
    view[:] = X
    close(small(X), X * X * 2)


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


@dataclasses.dataclass(frozen=True)
class Frozen:
    rate: float = 2.0

    def __call__(self, x):
        return x * self.rate


Named = dict[str, float]


def test_what_is_made_anew_at_each_look_is_looked_at_once():
    """`__delattr__`, which frozen data classes read, of a type with parameters: it never ended."""
    scale = Frozen()

    def f(x):
        names = Named(attribute="rate")
        return scale(x) * getattr(scale, names["attribute"])

    close(jit(f)(X), 4 * X)


@dataclasses.dataclass(frozen=True)
class Settings:
    factor: float
    kind: object = dict[str, int]

    def scaled(self, x):
        return x * getattr(dataclasses.replace(self, factor=2 * self.factor), "factor")  # noqa: B009


def test_watching_ends_where_attributes_are_made_when_they_are_read():
    """Those of dict[str, int], which are others each time."""
    close(jit(Settings(2.0).scaled)(X), X * 4)


# What is another object at each look ----------------------------------------------------------


class Unchanging:
    """As a frozen dataclass, whose special methods name that of the base class."""

    def __init__(self, layer):
        self.layer = layer

    def __delattr__(self, name):
        super().__delattr__(name)


def test_methods_of_builtin_classes_do_not_change():
    """`layer.__delattr__` is another object whenever it is read: that is no change, and to follow
    it would not end."""
    frozen = Unchanging(Layer())

    def f(x):
        return frozen.layer(x) * len(vars(frozen))

    assert Watch([f]).changed() is None
    close(jit(f)(X), 2 * X)
