"""Pictures of runs, as PNG files. No window is opened; nothing of matplotlib's state is used."""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

import autograd_core as ac
from metalearn import curves
from metalearn.checkpoints import write_atomically
from metalearn.errors import RunError, printable
from metalearn.evaluation import outputs_at_steps
from metalearn.inputs import Inputs, inputs_of
from metalearn.problems import Classification
from metalearn.tasks import NewTask, SinusoidSampler, Task
from metalearn.tasks.errors import amount
from metalearn.trained import Trained
from metalearn.transfer import Prediction, Predictions, Value

RIGHT, WRONG, NEUTRAL = "#1a7f37", "#cf222e", "#57606a"
QUERIES_SHOWN = 8  # a class
SHOTS_SHOWN = 5  # a class


def save_picture(figure: Figure, path: Path) -> Path:
    """Write a PNG as a whole, and return its path. Raises `RunError`."""
    data = png(figure)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{path.parent}: cannot be made ({error.strerror})") from error
    write_atomically(path, data)
    return path


def png(figure: Figure) -> bytes:
    """A picture as a PNG file's contents."""
    data = io.BytesIO()
    with warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes, which says enough.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(data, format="png", dpi=110, bbox_inches="tight")
    return data.getvalue()


# Sinusoids ------------------------------------------------------------------------------------


def sinusoid_picture(trained: Trained, steps: int, seed: int = 0, waves: int = 4) -> Figure:
    """For some test tasks the true wave, the points given, and the curve after each step."""
    sampler = SinusoidSampler(trained.run.config.shots, 1, seed, "test")
    grid = np.linspace(-5, 5, 201, dtype=np.float32)[:, None]
    amplitudes, phases = sampler.waves(0, range(waves))
    tasks = sampler.sample(0, range(waves))
    figure = Figure(figsize=(9.5, 5.6), layout="constrained")
    for i, axes in enumerate(figure.subplots(2, (waves + 1) // 2).flat[:waves]):
        support = (tasks.support[0][i], tasks.support[1][i])
        truth = amplitudes[i] * np.sin(grid - phases[i])
        curves = outputs_at_steps(
            trained.algorithm,
            trained.learner,
            trained.params,
            Task(support, (grid, truth)),
            range(steps + 1),
        )
        _wave(axes, grid, truth, support, [np.asarray(c) for c in curves])
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False
    )
    figure.suptitle(
        f"{trained.run.config.task_name}: four new waves, before and after "
        + ("one step" if steps == 1 else f"each of {steps} steps")
    )
    return figure


def _wave(
    axes: Axes, grid: np.ndarray, truth: np.ndarray, support: Any, curves: Sequence[np.ndarray]
) -> None:
    colours = mpl.colormaps["viridis_r"](np.linspace(0.15, 1.0, len(curves) - 1))
    axes.plot(grid, truth, color="black", linewidth=1.2, label="true wave")
    axes.plot(grid, curves[0], color=NEUTRAL, linestyle=":", label="prior, before adaptation")
    for step, (curve, colour) in enumerate(zip(curves[1:], colours, strict=True), start=1):
        shown = step in (1, len(curves) - 1)
        label = f"after {step} step{'s' if step > 1 else ''}" if shown else None
        axes.plot(grid, curve, color=colour, linewidth=1.5 if shown else 0.6, label=label)
    axes.plot(*support, "^", color=WRONG, markersize=6, label="points given")
    errors = [float(((c - truth) ** 2).mean()) for c in curves]
    shown_errors = [f"{errors[0]:.2f}", f"{errors[1]:.2f}"]
    shown_errors += ["…"] * (len(errors) > 3) + [f"{errors[-1]:.3f}"] * (len(errors) > 2)
    axes.set_title(f"MSE {' → '.join(shown_errors)}", fontsize=9)
    axes.grid(alpha=0.3)


# Images ---------------------------------------------------------------------------------------


class _Shown(NamedTuple):
    """One query image in a picture: its pixels, predicted class, probability and true class."""

    pixels: np.ndarray
    predicted: int
    probability: float
    true: int | None


def episode_picture(trained: Trained, problem: Classification, steps: int, seed: int = 0) -> Figure:
    """One test episode: on the left what was learned from, on the right what is predicted."""
    config = trained.run.config
    queries = min(QUERIES_SHOWN, problem.queries_left("test", config.shots))
    sampler = problem.sampler("test", config.shots, queries, seed)
    task = ac.tree_map(lambda x: x[0], sampler.sample(0, [0]))
    (logits,) = outputs_at_steps(trained.algorithm, trained.learner, trained.params, task, [steps])
    shown = _shown(task.query[0], _softmax(np.asarray(logits)), task.query[1].tolist())
    right = sum(s.predicted == s.true for s in shown)
    names = [f"class {i + 1}" for i in range(config.ways)]
    title = (
        f"{config.task_name}: a test episode, {right} of {len(shown)} right after "
        f"{amount(steps, 'inner step')} (batch norm: {trained.learner.mode})"
    )
    return _task_picture(names, task.support, shown, title)


def adapted_picture(
    trained: Trained, task: NewTask, predictions: Predictions, steps: int
) -> Figure | None:
    """A user's own task: support images by class, and each query with its prediction; of functions
    of one number, points and predictions; of other regression, predicted values beside targets.
    None of what cannot be drawn."""
    count, taken = len(task.support[1]), amount(steps, "inner step")
    if not task.classes:
        values = [p for p in predictions if isinstance(p, Value)]
        inputs = inputs_of(trained.run)
        if inputs == Inputs((1,)):
            title = f"adapted by {taken} to {amount(count, 'point')}"
            return _values_picture(task, values, title)
        title = f"adapted by {taken} to {amount(count, 'example')}"
        return _targets_picture(inputs.in_units(task.support[1])[:, 0], values, title)
    if task.query.ndim != 4:
        return None
    known = [p for p in predictions if isinstance(p, Prediction)]
    rows = np.array([p.probabilities for p in known])
    names = [str(label) for label in task.classes]
    labels = [None if p.true is None else names.index(p.true) for p in known]
    title = (
        f"adapted by {taken} to {amount(count, 'image')} of "
        f"{len(names)} classes (batch norm: {trained.learner.mode})"
    )
    shown = _shown(task.query, rows, labels)
    return _task_picture([printable(name) for name in names], task.support, shown, title)


def _values_picture(task: NewTask, values: Sequence[Value], title: str) -> Figure:
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    x = task.query[:, 0]
    order = np.argsort(x, kind="stable")
    axes.plot(x[order], np.array([v.predicted for v in values])[order], ".-", label="predicted")
    if task.query_labels is not None:
        axes.plot(x, task.query_labels, ".", color="black", label="true")
    axes.plot(*task.support, "^", color=WRONG, markersize=6, label="learned from")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    axes.set_title(title, fontsize=9, parse_math=False)
    return figure


def _targets_picture(targets: np.ndarray, values: Sequence[Value], title: str) -> Figure:
    """Predicted values against true ones, where these are known, or in their order beside the
    targets that were learned from."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    predicted = np.array([v.predicted for v in values])
    known = [v.true for v in values if v.true is not None]
    if len(known) == len(values):
        axes = figure.subplots()
        ends = [min(*known, *predicted), max(*known, *predicted)]
        axes.plot(ends, ends, color=NEUTRAL, linewidth=0.8, label="as it should be")
        axes.plot(known, predicted, "o", markersize=4, label="predicted")
        foot = np.full(len(targets), ends[0])
        axes.plot(targets, foot, "^", color=WRONG, markersize=4, label="learned from: targets")
        axes.set(xlabel="true", ylabel="predicted")
        axes.legend(frameon=False, fontsize=8)
        every = [axes]
    else:
        left, right = every = list(figure.subplots(1, 2, sharey=True))
        left.plot(targets, "^", color=WRONG, markersize=5)
        left.set_title("learned from: targets", fontsize=8)
        right.plot(predicted, "o", markersize=4)
        right.set_title("predicted", fontsize=8)
        for axes in every:
            axes.set_xlabel("example")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in every:
        axes.grid(alpha=0.3)
    figure.suptitle(title, fontsize=9)
    return figure


def _softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def _shown(x: np.ndarray, probabilities: np.ndarray, labels: Sequence[int | None]) -> list[_Shown]:
    return [
        _Shown(pixels, int(row.argmax()), float(row.max()), label)
        for pixels, row, label in zip(x, probabilities, labels, strict=True)
    ]


def _task_picture(
    names: Sequence[str], support: Any, shown: Sequence[_Shown], title: str
) -> Figure:
    """A row for each class: its support images, a gap, and the queries *predicted* to be of it."""
    x, y = support
    given = [x[y == label][:SHOTS_SHOWN] for label in range(len(names))]
    found = [[s for s in shown if s.predicted == label] for label in range(len(names))]
    width = max(map(len, given)) + 1
    columns = width + max(1, min(2 * QUERIES_SHOWN, max(map(len, found))))
    figure = Figure(figsize=(0.75 * columns + 1.2, 0.95 * len(names) + 0.9), layout="constrained")
    grid = figure.subplots(len(names), columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for row, name in enumerate(names):
        grid[row, 0].set_title(name[-18:], fontsize=8, loc="left", parse_math=False)
        for axes, pixels in zip(grid[row], given[row], strict=False):
            _image(axes, pixels, NEUTRAL)
        for axes, query in zip(grid[row, width:], found[row], strict=False):
            right = None if query.true is None else query.true == query.predicted
            colour = {None: NEUTRAL, True: RIGHT, False: WRONG}[right]
            _image(axes, query.pixels, colour)
            axes.set_title(f"{100 * query.probability:.0f} %", fontsize=7, color=colour, pad=2)
        left_out = len(found[row]) - (columns - width)
        if left_out > 0:
            note = {"xy": (1.05, 0.5), "xycoords": "axes fraction", "va": "center"}
            grid[row, -1].annotate(f"+{left_out} more", fontsize=7, annotation_clip=False, **note)
    figure.suptitle(
        f"{title}\nleft: learned from; right: predicted to be of that class, with probability"
        + ("" if shown[0].true is None else " (green right, red wrong)"),
        fontsize=9,
        parse_math=False,
    )
    return figure


def _image(axes: Axes, pixels: np.ndarray, colour: str) -> None:
    """(C, H, W) in [0, 1]; grey images as ink on paper."""
    axes.axis("on")
    axes.set(xticks=[], yticks=[])
    picture = 1 - pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    for spine in axes.spines.values():
        spine.set(color=colour, linewidth=1.8)


def show(trained: Trained, problem: Any, steps: int, seed: int = 0) -> list[Path]:
    """Draw all pictures of a run into its folder, and return their paths. Raises `RunError`."""
    run, config = trained.run, trained.run.config
    training = curves.figures(run.metrics.read(), problem.measure, config)
    found = {f"{about}.png": drawn for about, drawn in training.items()}
    if config.dataset == "sinusoid":
        found["sinusoids.png"] = sinusoid_picture(trained, steps, seed)
    elif inputs_of(run).images is not None:  # tasks of other kinds cannot be looked at
        found["episode.png"] = episode_picture(trained, problem, steps, seed)
    return [save_picture(drawn, run.pictures / file) for file, drawn in found.items()]
