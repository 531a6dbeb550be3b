"""Pictures of how a training went, from the lines of its metrics: see `figures`.

Lines of older versions hold less; what they lack is not drawn.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    LogLocator,
    MaxNLocator,
    NullLocator,
    PercentFormatter,
    StrMethodFormatter,
)

from metalearn.config import Config, algorithm_of
from metalearn.learner import Measure
from metalearn.own import short_name

Line = Mapping[str, Any]

TRAINING, FAINT, VALIDATION, NEUTRAL = "#0969da", "#8db4e2", "#bc4c00", "#57606a"
PANEL = (5.4, 4.2)  # inches
BARS = 25  # of time, at most
BEYOND = 10.0  # times the error before adaptation, errors are not drawn
MOMENTS = 4  # of training, whose adaptation is drawn step by step
ITERATION = "iteration (meta-updates)"


def figures(lines: Sequence[Line], measure: Measure, config: Config) -> dict[str, Figure]:
    """The pictures that some lines of metrics give, by name.

    - learning_curves: loss and score in training and validation
    - adaptation: scores in validation before adaptation and after each inner step
    - gradients: norms of meta-gradients and inner gradients, and how alike those of tasks are
    - learned_rates: inner rates, where they are learned, by layer
    - time: what it was spent on
    """
    name = short_name(config.algorithm)
    title = f"{config.task_name}, {name}, batch norm: {config.batch_norm}"
    unadapted = algorithm_of(config).unadapted
    drawn = {
        "learning_curves": learning_curves(lines, measure),
        "adaptation": adaptation(lines, measure, config.inner_steps, unadapted),
        "gradients": gradients(lines),
        "learned_rates": learned_rates(lines),
        "time": time_split(lines),
    }
    found = {name: figure for name, figure in drawn.items() if figure is not None}
    for figure in found.values():
        figure.suptitle(title, fontsize=10, parse_math=False)
    return found


# Loss and scores ------------------------------------------------------------------------------


def learning_curves(lines: Sequence[Line], measure: Measure) -> Figure | None:
    """Loss and score over iterations, in training and validation; None before there is a line."""
    training = [line for line in lines if "loss" in line]
    if not training:
        return None
    # A mean square error is loss and score in one.
    figure, (score, *rest) = _panels(2 if measure.higher_is_better else 1)
    _smoothed(score, training, "score", "training tasks, after adaptation")
    _validations(score, [line for line in lines if "validation" in line])
    _as_score(score, measure)
    _finish(score, f"{measure.name} on query sets, after adaptation")
    for loss in rest:
        _smoothed(loss, training, "loss", "training tasks, after adaptation")
        loss.set(ylabel="cross-entropy (nats)")
        _in_decades(loss)
        _finish(loss, "loss on query sets, after adaptation")
    return figure


def _validations(axes: Axes, lines: Sequence[Line]) -> None:
    if not lines:
        return
    x = [line["iteration"] for line in lines]
    mean = [_or_nan(line["validation"]["mean"]) for line in lines]
    error = [_or_nan(line["validation"]["half_width"]) for line in lines]
    axes.errorbar(x, mean, error, color=VALIDATION, fmt="none")
    label = "validation, with 95 % interval"
    axes.plot(x, mean, "o-", color=VALIDATION, markersize=3, label=label)
    for best in [line for line in lines if line["best"]][-1:]:
        place = best["iteration"], _or_nan(best["validation"]["mean"])
        axes.plot(*place, "*", color=VALIDATION, markersize=12, label="best in validation")


def adaptation(
    lines: Sequence[Line], measure: Measure, trained_steps: int, unadapted: str
) -> Figure | None:
    """Scores in validation, by inner step: over iterations, and over steps at a few moments. None
    where no steps are taken."""
    lines = [line for line in lines if len(line.get("scores", ())) > 1]
    if not lines:
        return None
    before = (line["scores"][0]["mean"] for line in lines)
    worst = max((mean for mean in before if mean is not None), default=math.inf)
    figure, (over_training, over_steps) = _panels(2)
    _by_step(over_training, lines, trained_steps, unadapted)
    _as_score(over_training, measure, worst)
    _finish(over_training, "validation, by number of inner steps (bands: 95 %)", columns=2)
    _at_moments(over_steps, lines, trained_steps)
    _as_score(over_steps, measure, worst)
    _finish(over_steps, "validation after each step, as training went on", "inner steps", columns=2)
    return figure


def _by_step(axes: Axes, lines: Sequence[Line], trained_steps: int, unadapted: str) -> None:
    """A curve for each number of inner steps; those before, as in training, and last in bold."""
    x = [line["iteration"] for line in lines]
    steps = [row["steps"] for row in lines[-1]["scores"]]
    between: str | None = "numbers of steps between"
    for place, (step, colour) in enumerate(zip(steps, _shades_from_grey(steps), strict=True)):
        rows = [line["scores"][place] for line in lines]
        mean = np.array([_or_nan(row["mean"]) for row in rows])
        bold = step in (0, trained_steps, steps[-1])
        if not bold:
            axes.plot(x, mean, "-", color=colour, linewidth=0.7, label=between)
            between = None
            continue
        label = _steps_name(step, trained_steps) if step else unadapted
        fmt = "o-" if step else "o:"
        axes.plot(x, mean, fmt, color=colour, markersize=3, linewidth=1.8, label=label)
        half = np.array([_or_nan(row["half_width"]) for row in rows])
        axes.fill_between(x, mean - half, mean + half, color=colour, alpha=0.12, linewidth=0)


def _steps_name(step: int, trained_steps: int) -> str:
    as_trained = " (as in training)" if step == trained_steps else ""
    return f"after {step} step{'s' if step > 1 else ''}{as_trained}"


def _at_moments(axes: Axes, lines: Sequence[Line], trained_steps: int) -> None:
    """A curve over inner steps for the first validation, the last, and some between them."""
    places = np.unique(np.linspace(0, len(lines) - 1, MOMENTS).round().astype(int))
    for place, colour in zip(places, _shades(len(places)), strict=True):
        line, last = lines[place], place == places[-1]
        x = [row["steps"] for row in line["scores"]]
        mean = [_or_nan(row["mean"]) for row in line["scores"]]
        half = [_or_nan(row["half_width"]) for row in line["scores"]]
        label = f"iteration {line['iteration']:,}" + (" (bars: 95 %)" if last else "")
        axes.plot(x, mean, "o-", color=colour, markersize=3, label=label)
        if last:
            axes.errorbar(x, mean, half, color=colour, fmt="none", capsize=2, elinewidth=0.8)
    if 0 < trained_steps <= lines[-1]["scores"][-1]["steps"]:
        axes.axvline(trained_steps, color=NEUTRAL, linestyle=":", label="steps in training")


# Gradients ------------------------------------------------------------------------------------


def gradients(lines: Sequence[Line]) -> Figure | None:
    """Norms of meta-gradients and inner gradients, and the similarity of those of tasks."""
    outer = [line for line in lines if "gradient_norm" in line]
    probes = [line for line in lines if "probe" in line]
    inner = [line for line in probes if line["probe"]["inner_norms"]]
    alike = [line for line in probes if line["probe"]["meta_similarity"] is not None]
    draw: list[tuple[Callable[[Axes, Any], None], Any, str]] = []
    if outer:
        draw.append((_outer_norms, outer, "meta-gradient"))
    if inner:
        count = inner[-1]["probe"]["tasks"]
        draw.append((_inner_norms, inner, f"inner gradients, mean over {count} training tasks"))
    if alike:
        count = alike[-1]["probe"]["tasks"]
        title = f"do tasks agree? mean over all pairs of {count} training tasks"
        draw.append((_similarities, alike, title))
    if not draw:
        return None
    figure, panels = _panels(len(draw))
    for axes, (drawing, known, title) in zip(panels, draw, strict=True):
        drawing(axes, known)
        _finish(axes, title)
    return figure


def _outer_norms(axes: Axes, lines: Sequence[Line]) -> None:
    _smoothed(axes, lines, "gradient_norm", "of the meta-batch, before clipping")
    axes.set(ylabel="norm")
    _in_decades(axes)


def _inner_norms(axes: Axes, lines: Sequence[Line]) -> None:
    x, count = [line["iteration"] for line in lines], len(lines[-1]["probe"]["inner_norms"])
    for step, colour in enumerate(_shades_from_grey(range(count))):
        y = [_or_nan(line["probe"]["inner_norms"][step]) for line in lines]
        bold = step in (0, 1, count - 1)
        name = _steps_name(step, count - 1) if step else "before adaptation"
        label = name if bold else None
        fmt, width = "o-" if step else "o:", 1.8 if bold else 0.7
        axes.plot(x, y, fmt, color=colour, markersize=3, linewidth=width, label=label)
    axes.set(ylabel="norm")
    _in_decades(axes)


def _similarities(axes: Axes, lines: Sequence[Line]) -> None:
    x = [line["iteration"] for line in lines]
    for name, label, colour in (
        ("meta_similarity", "meta-gradients of single tasks", TRAINING),
        ("inner_similarity", "inner gradients before adaptation", VALIDATION),
    ):
        y = [_or_nan(line["probe"][name]) for line in lines]
        if not np.isnan(y).all():
            axes.plot(x, y, "o-", color=colour, markersize=3, label=label)
    axes.axhline(0, color=NEUTRAL, linewidth=0.8)
    low, high = axes.get_ylim()
    axes.set(ylabel="cosine of two gradients", ylim=(min(low, -0.1), max(high, 0.1)))


# Learned rates --------------------------------------------------------------------------------


def learned_rates(lines: Sequence[Line]) -> Figure | None:
    """Inner rates by layer: over iterations, and at the end with their range or for each step."""
    lines = [line for line in lines if "rates" in line]
    if not lines:
        return None
    names, last = list(lines[-1]["rates"]), lines[-1]
    per_step = max(len(last["rates"][name]["mean"]) for name in names) > 1
    height = max(PANEL[1], 0.26 * len(names) + 1.4)
    figure = Figure(figsize=(2.3 * PANEL[0], height), layout="constrained")
    over_training, at_the_end = figure.subplots(1, 2)
    for name, colour in zip(names, _colours(names), strict=True):
        y = [np.mean([_or_nan(v) for v in line["rates"][name]["mean"]]) for line in lines]
        x = [line["iteration"] for line in lines]
        over_training.plot(x, y, "o-", color=colour, markersize=2.5, linewidth=1.2)
    over_training.set(ylabel="inner rate (per unit of mean loss)")
    _finish(over_training, "learned inner rates, mean of each array" + " and steps" * per_step)
    (_rates_by_step if per_step else _rates_by_layer)(at_the_end, lines, names)
    for text, colour in zip(at_the_end.get_yticklabels(), _colours(names), strict=True):
        text.set(color=colour, fontweight="bold", parse_math=False)
    _title(at_the_end, f"at iteration {last['iteration']:,}; colours are those of the left panel")
    return figure


def _place(name: str) -> str:
    """Such as "layer 0 bias", or "blocks 3 weight"."""
    return ("layer " if name[0].isdigit() else "") + name.replace(".", " ")


def _colours(names: Sequence[str]) -> list[Any]:
    """Dark enough to be read as text."""
    return list(mpl.colormaps["turbo"](np.linspace(0.05, 0.95, len(names))) * [0.8, 0.8, 0.8, 1])


def _rates_by_layer(axes: Axes, lines: Sequence[Line], names: Sequence[str]) -> None:
    """A dot for the mean of an array's rates, a line from their 10 % to their 90 % quantile."""
    for place, (name, colour) in enumerate(zip(names, _colours(names), strict=True)):
        first, last = lines[0]["rates"][name], lines[-1]["rates"][name]
        if "low" in last:
            ends = [_or_nan(last[end][0]) for end in ("low", "high")]
            axes.plot(ends, [place] * 2, color=colour, linewidth=3, alpha=0.4)
        axes.plot(_or_nan(last["mean"][0]), place, "o", color=colour, markersize=6)
        axes.plot(_or_nan(first["mean"][0]), place, "|", color=NEUTRAL, markersize=11)
    styles: Sequence[tuple[str, dict[str, Any]]] = (
        ("mean of the array", {"marker": "o", "linestyle": ""}),
        ("10 % to 90 % quantile", {"linewidth": 3, "alpha": 0.4}),
        ("mean at the first validation", {"marker": "|", "markersize": 11, "linestyle": ""}),
    )
    marks = [Line2D([], [], color=NEUTRAL, label=label, **style) for label, style in styles]
    axes.set_yticks(range(len(names)), [_place(name) for name in names])
    axes.invert_yaxis()
    axes.set_xlabel("inner rate (per unit of mean loss)")
    axes.grid(alpha=0.3)
    _legend(axes, marks, 3)


def _rates_by_step(axes: Axes, lines: Sequence[Line], names: Sequence[str]) -> None:
    """A table of layers and inner steps, each cell with its rate."""
    count = max(len(lines[-1]["rates"][name]["mean"]) for name in names)
    table = np.array(
        [np.resize([_or_nan(v) for v in lines[-1]["rates"][n]["mean"]], count) for n in names]
    )
    most = float(np.nanmax(np.abs(table), initial=0.0)) or 1.0
    image = axes.imshow(table, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto")
    for (row, column), rate in np.ndenumerate(table):
        colour = "white" if abs(rate) > 0.6 * most else "black"
        axes.text(column, row, f"{rate:.3g}", ha="center", va="center", fontsize=7, color=colour)
    axes.set_yticks(range(len(names)), [_place(name) for name in names])
    axes.set_xticks(range(count), [str(step + 1) for step in range(count)])
    axes.set_xlabel("inner step")
    image.axes.figure.colorbar(image, ax=axes, label="inner rate (per unit of mean loss)")


# Time -----------------------------------------------------------------------------------------

ACTIVITIES = {
    "updating": ("meta-updates", "#0969da"),
    "sampling": ("sampling tasks", "#d4a72c"),
    "evaluating": ("validation and probes", "#bc4c00"),
    "other": ("compiling, saving, other", "#8c959f"),
}


def time_split(lines: Sequence[Line]) -> Figure | None:
    """What the time was spent on, in stretches of training, each of which makes 100 %."""
    stretches = _stretches([line for line in lines if "spent" in line])
    if not stretches:
        return None
    ends = np.array([end for _, end, _ in stretches])
    starts = np.array([start for start, _, _ in stretches])
    spent = {name: np.array([found[name] for *_, found in stretches]) for name in ACTIVITIES}
    totals = np.sum(list(spent.values()), axis=0)
    figure, (axes,) = _panels(1, width=1.5)
    base = np.zeros(len(stretches))
    for name, (label, colour) in ACTIVITIES.items():
        share = np.divide(spent[name], totals, out=np.zeros_like(totals), where=totals > 0)
        whole = spent[name].sum() / max(totals.sum(), 1e-9)
        label = f"{label}: {_duration(spent[name].sum())} ({100 * whole:.0f} %)"
        axes.bar(
            *(starts, share, ends - starts, base),
            align="edge",
            color=colour,
            edgecolor="white",
            linewidth=0.5,
            label=label,
        )
        base += share
    axes.set(ylabel="share of the time", ylim=(0, 1))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    _finish(axes, f"what the time was spent on: {_duration(totals.sum())} in all", columns=2)
    axes.set_xlim(starts[0], ends[-1])
    return figure


def _stretches(lines: Sequence[Line]) -> list[tuple[int, int, dict[str, float]]]:
    """Stretches of training between validations, some together where there are many: the first
    and last iteration of each, and the seconds spent there on each activity."""
    ends = [i for i, line in enumerate(lines) if "validation" in line]
    ends = ends or ([len(lines) - 1] if lines else [])
    ends = ends[:: -max(1, math.ceil(len(ends) / BARS))][::-1]
    found: list[tuple[int, int, dict[str, float]]] = []
    first, start, since = 0, 0, 0.0
    for end in ends:
        known = {name: 0.0 for name in ACTIVITIES}
        for line in lines[first : end + 1]:
            for name, seconds in line["spent"].items():
                known[name] += seconds
        last = lines[end]
        known["other"] = max(last["seconds"] - since - sum(known.values()), 0.0)
        if last["iteration"] > start:
            found.append((start, last["iteration"], known))
        first, start, since = end + 1, last["iteration"], last["seconds"]
    return found


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


# What these share -----------------------------------------------------------------------------


def _panels(count: int, width: float = 1.0) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(PANEL[0] * count * width, PANEL[1]), layout="constrained")
    return figure, list(figure.subplots(1, count, squeeze=False).flat)


def _smoothed(axes: Axes, lines: Sequence[Line], key: str, label: str) -> None:
    """A curve as it was measured, faintly, and its mean over a thirtieth of them."""
    x = np.array([line["iteration"] for line in lines])
    y = np.array([_or_nan(line[key]) for line in lines])
    axes.plot(x, y, color=FAINT, linewidth=0.8, alpha=0.7)
    window = max(1, len(y) // 30)
    smooth = np.convolve(y, np.ones(window) / window, mode="valid")
    axes.plot(
        x[window - 1 :],
        smooth,
        color=TRAINING,
        linewidth=1.6,
        label=f"{label} (faint: not smoothed)",
    )


def _as_score(axes: Axes, measure: Measure, worst: float = math.inf) -> None:
    """`worst` is what there is before adaptation: errors far above it, where adaptation diverges,
    lie outside the panel."""
    axes.set(ylabel=measure.name)
    if measure.higher_is_better:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        return
    _in_decades(axes)
    low, high = axes.get_ylim()
    heights = _heights(axes)
    if not heights:
        return
    least, most = min(y.min() for y in heights), max(y.max() for y in heights)
    if most > BEYOND * worst:
        axes.set_ylim(0.7 * least, BEYOND * worst)
        note = axes.text(0.98, 0.98, "beyond: adaptation diverges", transform=axes.transAxes)
        note.set(va="top", ha="right", color=NEUTRAL, fontsize=8)
        note.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.8})
    else:
        axes.set_ylim(max(low, 0.3 * least), high)


def _in_decades(axes: Axes) -> None:
    """A logarithmic axis, where there is anything above 0."""
    if _heights(axes):
        axes.set_yscale("log")


def _heights(axes: Axes) -> list[np.ndarray]:
    """What the curves of a panel reach above 0, where there is anything."""
    curves = [
        np.asarray(line.get_ydata(), float)
        for line in axes.get_lines()
        if line.get_transform() == axes.transData  # no line from edge to edge
    ]
    drawn = [y[np.isfinite(y) & (y > 0)] for y in curves]
    return [y for y in drawn if y.size]


def _finish(axes: Axes, title: str, xlabel: str = ITERATION, columns: int = 1) -> None:
    """A title, labels, a grid, ticks that are plain numbers, and a legend below."""
    _title(axes, title)
    axes.set_xlabel(xlabel)
    round_numbers = MaxNLocator(6, integer=True, steps=[1, 2, 2.5, 5, 10])
    axes.xaxis.set_major_locator(round_numbers)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    if xlabel == ITERATION:
        axes.set_xlim(left=0)
    if axes.get_yscale() == "log":
        _plain_numbers(axes)
    axes.grid(alpha=0.3)
    _legend(axes, axes.get_legend_handles_labels()[0], columns)


def _title(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=10, loc="left")


def _legend(axes: Axes, handles: Sequence[Any], columns: int) -> None:
    """Below the panel, where it covers nothing."""
    if handles:
        below = axes.legend(handles=handles, frameon=False, fontsize=8, ncols=columns)
        below.set_loc("upper left")
        below.set_bbox_to_anchor((0.0, -0.14), axes.transAxes)


def _plain_numbers(axes: Axes) -> None:
    """Ticks of a logarithmic axis over few decades: 0.2 in place of 2 × 10⁻¹."""
    low, high = axes.get_ylim()
    decades = math.log10(high / low)
    if decades < 4:
        some = (1, 2, 3, 5) if decades < 1.5 else (1, 2, 5)
        subs = range(1, 10) if decades < 0.6 else some
        axes.yaxis.set_major_locator(LogLocator(subs=subs))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_locator(NullLocator())


def _shades(count: int) -> np.ndarray:
    """Colours from light to dark."""
    return mpl.colormaps["viridis_r"](np.linspace(0.15, 1.0, count))


def _shades_from_grey(steps: Sequence[int]) -> list[Any]:
    """The same for numbers of inner steps; grey for none."""
    taken = iter(_shades(sum(step > 0 for step in steps)))
    return [next(taken) if step else NEUTRAL for step in steps]


def _or_nan(value: float | None) -> float:
    """A number of a record, where null stands for one that is not finite: nothing to draw."""
    return math.nan if value is None else value
