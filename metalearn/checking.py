"""Is a meta-gradient right, the first order what it says, a family's tasks what they should be?

Tests of an algorithm and of a family of tasks, yours or ours, each against something that is
computed in another way:

- the meta-gradient against differences of the meta-loss
- the first order against differences of the meta-loss in which the inner gradients of the point are
  written down, and used again as constants
- the meta-loss against the loss of what `predict` says of the queries, which it does not see
- inner steps, small ones: each descends the loss on the support set
- the split: examples that tasks of training, validation and test have in common, and what else
  tasks owe

What they cannot see: a rate that is applied twice, a wrong sign in the steps of a few parameters
where the others outweigh it, classes or functions that parts share without sharing examples,
targets that inputs give away.
"""

import dataclasses
import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

import autograd_core as ac
from autograd_core import random
from autograd_core.testing import GradientError, check_grads
from metalearn.algorithms import Algorithm
from metalearn.learner import Learner
from metalearn.problems import PARTS, Problem
from metalearn.tasks import Task
from metalearn.tasks.errors import amount

TASKS_CHECKED = 2
ALIKE = 1e-6
"""The most by which two ways to the same loss may differ, relative."""
SMALL = 1e-3
"""The share of its rate at which an algorithm's steps are small."""


class Finding(NamedTuple):
    """What a test found; `passed` is None where there was nothing to test."""

    test: str
    passed: bool | None
    detail: str

    def text(self) -> str:
        word = {True: "pass", False: "FAIL", None: "none"}[self.passed]
        return f"{word}  {self.test}: {self.detail}"


def check_algorithm(
    algorithm: Algorithm, learner: Learner, tasks: Sequence[Task], seed: int = 0
) -> list[Finding]:
    """Check the meta-gradient of an algorithm, and its first order, in float64.

    Args:
        algorithm: any; its random choices, if it has some, have to be functions of the task.
        learner: a model and its loss. Small ones are quick, and differences near kinks (relu,
            max-pooling) are told from wrong gradients.
        tasks: (x, y) of support and query each, for one task.
        seed: of the meta-parameters, which are a little larger than where they start, as some start
            at 0, where derivatives may vanish.
    """
    algorithm = dataclasses.replace(algorithm, remat="none")
    meta = _larger(algorithm.init(learner.model, random.key(seed)), seed)
    found = []
    for number, task in enumerate(map(_doubles, tasks)):
        fault = _fault(ac.tree_map(np.asarray, task))
        if fault is not None:
            test = f"the numbers and labels of task {number}"
            found.append(Finding(test, False, f"{fault}; nothing else can be told with it"))
            continue
        found.append(_differences(algorithm, learner, meta, task, number))
        found.append(_first_order(algorithm, learner, meta, task, number))
        found.append(_judged_alike(algorithm, learner, meta, task, number))
        found.append(_descends(algorithm, learner, seed, task, number))
    return found


def _larger(meta: Any, seed: int) -> Any:
    rng = np.random.default_rng(seed)

    def larger(leaf: Any) -> Any:
        values = np.asarray(leaf, np.float64)
        return ac.asarray(values + 0.01 * np.abs(rng.normal(size=values.shape)))

    return ac.tree_map(larger, meta)


def _doubles(tree: Any) -> Any:
    def double(leaf: Any) -> Any:
        values = np.asarray(leaf)
        return ac.asarray(values.astype(np.float64)) if values.dtype.kind == "f" else values

    return ac.tree_map(double, tree)


def _differences(
    algorithm: Algorithm, learner: Learner, meta: Any, task: Task, number: int
) -> Finding:
    test = f"the meta-gradient of task {number} against differences"
    if not algorithm.exact:
        return Finding(test, None, _another_direction(algorithm))
    if algorithm.order == 1:
        return Finding(test, None, "of the first order, it is not the derivative; see the next")

    def meta_loss(meta: Any) -> Any:
        return algorithm.meta_loss(learner, meta, task)[0]

    finding = _judged(test, meta_loss, meta)
    if finding.passed is False and _is_first_order(algorithm, learner, meta, task):
        hint = "it is that of the first order: is an inner gradient, or a step, stopped?"
        return finding._replace(detail=f"{finding.detail}; {hint}")
    return finding


def _is_first_order(algorithm: Algorithm, learner: Learner, meta: Any, task: Task) -> bool:
    """Whether the meta-gradient leaves out what the first order does."""

    def leaves(order: int) -> list[np.ndarray]:
        other = dataclasses.replace(algorithm, order=order)
        found = ac.grad(lambda meta: other.meta_loss(learner, meta, task)[0])(meta)
        return [np.asarray(leaf) for leaf in ac.tree_leaves(found)]

    pairs = zip(leaves(algorithm.order), leaves(1), strict=True)
    return all(np.allclose(a, b, rtol=ALIKE, atol=0, equal_nan=True) for a, b in pairs)


def _another_direction(algorithm: Algorithm) -> str:
    name = type(algorithm).__name__
    return (
        f"{name}.exact is False: it says that its gradient is another direction by design, which "
        "no test here can judge; only with exact = True is it compared"
    )


def _judged(test: str, loss: Callable, meta: Any) -> Finding:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what could not be decided is told below
            report = check_grads(loss, meta, order=1, modes=("rev",), search=False)
    except GradientError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:] if line.strip()]
        return Finding(test, False, "; ".join(lines[:3]))
    if not report.checked:
        value = float(loss(meta))
        why = (
            "its differences do not settle: numbers too large, or kinks (relu, max) nearly "
            "everywhere; a smaller rate or another --seed may show more"
        )
        if not np.isfinite(value):
            why = "choose a rate or a task at which it is finite"
        return Finding(test, False, f"undecided: the meta-loss is {value:.6g}, and {why}")
    worst = max(report.checked.values())
    return Finding(test, True, f"worst error {worst:.2g} of its tolerance")


# The first order ------------------------------------------------------------------------------


def _first_order(
    algorithm: Algorithm, learner: Learner, meta: Any, task: Task, number: int
) -> Finding:
    test = f"the first order of task {number} against constant inner gradients"
    if not algorithm.exact:
        return Finding(test, None, _another_direction(algorithm))
    first = dataclasses.replace(algorithm, order=1)
    written: list[Any] = []
    _with_gradient(first, _writing(first, written)).meta_loss(learner, meta, task)
    if not written:
        return Finding(test, None, "it takes no inner gradients by self.gradient")

    @ac.custom_vjp
    def loss(meta: Any) -> Any:
        return _with_gradient(first, _reading(written)).meta_loss(learner, meta, task)[0]

    def forward(meta: Any) -> tuple[Any, Any]:
        value, gradient = ac.value_and_grad(lambda m: first.meta_loss(learner, m, task)[0])(meta)
        return value, gradient

    loss.defvjp(forward, lambda gradient, g: (ac.tree_map(lambda x: g * x, gradient),))
    return _judged(test, loss, meta)


def _with_gradient(algorithm: Algorithm, gradient: Callable) -> Algorithm:
    """The algorithm with other inner gradients."""
    cls = type(algorithm)
    other = type(cls.__name__, (cls,), {"gradient": staticmethod(gradient)})
    fields = [f.name for f in dataclasses.fields(algorithm) if f.init]
    return other(**{name: getattr(algorithm, name) for name in fields})


def _writing(algorithm: Algorithm, written: list[Any]) -> Callable:
    def gradient(*args: Any) -> Any:
        found = algorithm.gradient(*args)
        written.append(ac.tree_map(ac.stop_gradient, found))
        return found

    return gradient


def _reading(written: list[Any]) -> Callable:
    left = iter(written)
    return lambda *_args: next(left)


# In use ---------------------------------------------------------------------------------------


def _judged_alike(
    algorithm: Algorithm, learner: Learner, meta: Any, task: Task, number: int
) -> Finding:
    """Whether the meta-loss is that of predictions for the queries, made without their targets."""
    test = f"the meta-loss of task {number} is the loss of what predict says"
    if not algorithm.judges_predictions:
        return Finding(test, None, f"{type(algorithm).__name__} is trained on other tasks")
    value = float(algorithm.meta_loss(learner, meta, task)[0])
    x, y = task.query
    new = dataclasses.replace(algorithm)  # one that has not seen the queries
    judged = float(learner.measure.loss(new.predict(learner, meta, task.support, x), y))
    if abs(value - judged) <= ALIKE * max(1.0, abs(judged)):
        return Finding(test, True, f"{value:.6g}")
    return Finding(test, False, f"it is {value:.6g}, and predictions have {judged:.6g}")


def _descends(
    algorithm: Algorithm, learner: Learner, seed: int, task: Task, number: int
) -> Finding:
    """Whether each inner step, if small enough, makes the loss on the support set smaller."""
    test = f"small inner steps on task {number} descend the loss on the support set"
    if not algorithm.steps or "inner_steps" in algorithm.without:
        return Finding(test, None, "there are no inner steps")
    if not algorithm.judges_predictions:
        return Finding(test, None, f"{type(algorithm).__name__} is trained on other tasks")
    small = dataclasses.replace(algorithm, rate=SMALL * algorithm.rate)
    meta = _doubles(small.init(learner.model, random.key(seed)))
    x, y = task.support

    def loss(steps: int) -> float:
        outputs = small.predict(learner, meta, task.support, x, steps)
        return float(learner.measure.loss(outputs, y))

    losses = [loss(steps) for steps in range(small.steps + 1)]
    for step, (before, after) in enumerate(itertools.pairwise(losses), 1):
        if not after < before:
            what = "does not change it" if after == before else f"raises it by {after - before:.2g}"
            return Finding(
                test,
                False,
                f"step {step} of {small.steps} {what} from {before:.6g}, at a rate of "
                f"{small.rate:.2g}, {SMALL:g} of the usual one; right only of steps that look at a "
                "part of the support set",
            )
    return Finding(test, True, f"{losses[0]:.6g} falls by {losses[0] - losses[-1]:.2g}")


# Tasks ----------------------------------------------------------------------------------------


def check_tasks(
    problem: Problem, shots: int, queries: int, episodes: int = 100, seed: int = 0
) -> list[Finding]:
    """Check what the tasks of a family owe: parts without common examples, queries that are not in
    the support set, the same task for the same number, whatever else is drawn.

    Args:
        problem: a dataset with its split, or a family of your own.
        shots, queries: examples a class, or a task.
        episodes: how many tasks of each part to look at.
        seed: of the tasks.
    """
    samplers = {part: problem.sampler(part, shots, queries, seed) for part in PARTS}
    drawn = {part: list(_one_by_one(s, episodes)) for part, s in samplers.items()}
    return [
        _apart(drawn),
        _queries_unseen(drawn),
        _same_again(problem, samplers, shots, queries, seed),
        _different(drawn),
        _well_formed(drawn),
    ]


def _one_by_one(sampler: Any, episodes: int) -> Iterator[Task]:
    for number in range(episodes):
        yield ac.tree_map(lambda leaf: np.asarray(leaf)[0], sampler.sample(0, [number]))


def _examples(pairs: Any) -> set[bytes]:
    """Inputs, with targets where these are numbers: labels differ from task to task."""
    x, y = pairs
    rows = [np.ascontiguousarray(row).tobytes() for row in x]
    if y.dtype.kind != "f":
        return set(rows)
    return {row + np.ascontiguousarray(t).tobytes() for row, t in zip(rows, y, strict=True)}


def _apart(drawn: dict[str, list[Task]]) -> Finding:
    """Whether an example that one part shows is shown by another."""
    shown = {
        part: set().union(*(_examples(half) for task in tasks for half in task))
        for part, tasks in drawn.items()
    }
    pairs = [("train", "test"), ("train", "validation"), ("validation", "test")]
    common = {f"{a} and {b}": len(shown[a] & shown[b]) for a, b in pairs}
    worst = max(common, key=lambda pair: common[pair])
    count = sum(map(len, shown.values()))
    detail = f"none of {count:,} examples is in two parts"
    if common[worst]:
        detail = f"{worst} have {amount(common[worst], 'example')} in common"
    return Finding("the parts of the split", not common[worst], detail)


def _queries_unseen(drawn: dict[str, list[Task]]) -> Finding:
    test = "queries apart from the support set"
    count = 0
    for part, tasks in drawn.items():
        for number, task in enumerate(tasks):
            common = len(_examples(task.support) & _examples(task.query))
            if common:
                shared = amount(common, "query", "queries")
                return Finding(test, False, f"{part} task {number}: {shared} also in it")
            count += len(task.query[0])
    return Finding(test, True, f"{amount(count, 'query', 'queries')} looked at")


def _same_again(
    problem: Problem, samplers: dict[str, Any], shots: int, queries: int, seed: int
) -> Finding:
    """Task 5 of iteration 3: alone, among others, and from a sampler that is new."""
    test = "the same task for the same number"
    for part, sampler in samplers.items():
        alone = ac.tree_map(lambda leaf: np.asarray(leaf)[0], sampler.sample(3, [5]))
        among = ac.tree_map(lambda leaf: np.asarray(leaf)[5], sampler.sample(3, range(8)))
        again = problem.sampler(part, shots, queries, seed).sample(3, [5])
        new = ac.tree_map(lambda leaf: np.asarray(leaf)[0], again)
        for how, other in (("among others", among), ("from a new sampler", new)):
            if not all(map(_equal, ac.tree_leaves(alone), ac.tree_leaves(other))):
                return Finding(test, False, f"{part} task 5 of iteration 3 is another one {how}")
    return Finding(test, True, "alone, among others, and from a new sampler")


def _equal(x: np.ndarray, y: np.ndarray) -> bool:
    return np.array_equal(x, y, equal_nan=x.dtype.kind == "f")


def _different(drawn: dict[str, list[Task]]) -> Finding:
    test = "tasks that differ"
    for part, tasks in drawn.items():
        seen = {np.ascontiguousarray(task.support[0]).tobytes() for task in tasks}
        if len(seen) < len(tasks):
            return Finding(test, False, f"{part}: {len(tasks) - len(seen)} of {len(tasks)} repeat")
    return Finding(test, True, f"{sum(map(len, drawn.values())):,} tasks, no support set twice")


def _well_formed(drawn: dict[str, list[Task]]) -> Finding:
    test = "numbers and labels"
    for part, tasks in drawn.items():
        for number, task in enumerate(tasks):
            wrong = _fault(task)
            if wrong:
                return Finding(test, False, f"{part} task {number}: {wrong}")
    return Finding(test, True, "finite numbers; labels that the support set shows")


def _fault(task: Task) -> str | None:
    (x, y), (xq, yq) = task.support, task.query
    if len(x) != len(y) or len(xq) != len(yq):
        return "there are not as many targets as inputs"
    if x.shape[1:] != xq.shape[1:]:
        return f"support inputs have shape {x.shape[1:]}, queries {xq.shape[1:]}"
    for array in (x, xq):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return "an input is not finite"
    if y.dtype.kind == "f":
        return None if np.isfinite(y).all() and np.isfinite(yq).all() else "a target is not finite"
    shown, asked = set(y.tolist()), set(yq.tolist())
    if min(shown) < 0 or not asked <= shown:
        return f"queries of the classes {sorted(asked - shown)} are not in the support set"
    return None
