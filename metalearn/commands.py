"""What the commands do; `cli` says how they are called."""

import os
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import autograd_core as ac
from metalearn import checkpoints
from metalearn.adapted import Adapted, adapt_to
from metalearn.catalogue import UNUSED, kind_of
from metalearn.checking import TASKS_CHECKED, check_algorithm, check_tasks
from metalearn.config import CHECKS, MOST, Config, algorithm_of, make_config
from metalearn.console import PlainDisplay, duration, open_display
from metalearn.errors import Interrupted, OptionError, RunError, printable
from metalearn.estimators import SUFFIXES, mode_alone, save_model
from metalearn.interrupts import Interrupts
from metalearn.learner import Learner
from metalearn.own import short_name
from metalearn.problems import (
    PARTS,
    Classification,
    Problem,
    Tabular,
    ink_found,
    open_problem,
    other_domain,
    suited,
)
from metalearn.runs import (
    Run,
    check_free,
    create_run,
    free_path,
    open_run,
    publish,
    to_json,
    write_json,
)
from metalearn.tasks import DataError, NewTask
from metalearn.tasks.errors import amount
from metalearn.tasks.folders import is_in_colour
from metalearn.tasks.placing import chosen_device
from metalearn.tasks.shortage import few_text
from metalearn.tensorboard import Board, check_installed
from metalearn.trained import Trained, evaluation_lines, load_trained
from metalearn.trained import evaluate as evaluate_on
from metalearn.training import Trainer, initial_state, model_of
from metalearn.transfer import (
    Prediction,
    Predictions,
    Value,
    labels_of,
    mean_square_error,
    predicted,
    predictions_csv,
    read_task,
    share_right,
)

QUERIES = 15  # a class, in evaluation
WAVE_QUERIES = 100
FINAL_EPISODES = 200  # after training
FEW_TASKS = 5


def print_lines(lines: list[str]) -> None:
    print("\n".join(lines), flush=True)


# train ----------------------------------------------------------------------------------------


def train(
    dataset: str, out: Path | None, given: Mapping[str, Any], tensorboard: bool = False
) -> int:
    """Make a run and train it."""
    config = make_config(dataset, given)
    checked_device(config.device)
    if tensorboard:
        check_installed()
    if out is not None:
        check_free(out)  # before minutes of reading data
    with open_display(config.measure) as display:
        config, problem, notes = _opened(dataset, given, display)
        display.measure = config.measure
        _check_samplers(problem, config)
        initial_state(config, model_of(config))  # a network that cannot be made leaves no run
        path = free_path(Path("runs"), _default_name(config)) if out is None else out
        run = create_run(path, config, problem, algorithm_of(config).order)
        with run.locked(), _followed(run, display, tensorboard):
            _train(run, problem, display, notes)
    return 0


def _opened(
    dataset: str, given: Mapping[str, Any], display: PlainDisplay
) -> tuple[Config, Problem, list[str]]:
    """The configuration with defaults that suit the data, the data, and lines on that."""
    given, notes = _with_channels(dataset, given, display)
    asked = make_config(dataset, given)
    problem = open_problem(asked, display.working, fewer_ways=given.get("ways") is None)
    config = suited(dataset, given, problem)
    if config.ways < asked.ways:
        notes += [
            f"{config.ways}-way tasks: there are not {asked.ways} classes each for training, "
            "validation and test"
        ]
    if given.get("ink") is None:
        notes += _ink_notes(config, problem)
    return config, problem, notes


def _ink_notes(config: Config, problem: Problem) -> list[str]:
    """A line on which ink the grey images of an .npz file were found to have."""
    ink = ink_found(problem)
    if config.dataset != "arrays" or ink is None:
        return []
    found = {
        "dark": "dark ink on light, inverted (--ink keep leaves them as they are)",
        "light": "light ink on dark, as they are (--ink dark inverts them)",
    }
    return [f"images grey, {'×'.join(map(str, problem.example_shape))}: {found[ink]}"]


def _with_channels(
    dataset: str, given: Mapping[str, Any], display: PlainDisplay
) -> tuple[Mapping[str, Any], list[str]]:
    """The options with the channels that the images of a folder have, where none are asked for, and
    a line that says so."""
    config = make_config(dataset, given)
    decided = given.get("channels") is not None or given.get("ink") not in (None, "keep")
    if config.dataset != "folder" or decided:
        return given, []
    colour = is_in_colour(str(config.data), progress=display.working)
    channels = 3 if colour else config.channels
    what, other = ("in colour", "1 for grey") if colour else ("grey", "3 for RGB")
    size = f"{channels}×{config.image_size}×{config.image_size}"
    return {**given, "channels": channels}, [f"images {what}, {size} (--channels {other})"]


def checked_device(option: str) -> str:
    """The device of an option. Raises `OptionError` where there is none such."""
    problem = CHECKS["device"](option)
    if problem:
        raise OptionError(f"--device {option}: {problem}")
    try:
        return chosen_device(option)
    except ac.DeviceError as error:
        raise OptionError(f"--device {option}: {error}") from error


@contextmanager
def _followed(run: Run, display: PlainDisplay, wanted: bool) -> Iterator[None]:
    """Write metrics and pictures for TensorBoard too, where that is wanted, or was before."""
    folder = run.path / "tensorboard"
    if not wanted and not folder.exists():
        yield
        return
    try:
        check_installed()
    except OptionError as error:  # checked before where it is wanted now
        display.line(f"note: {folder} does not go on: {error}")
        yield
        return
    with Board(folder, run) as board:
        run.metrics.listeners.append(board.add)
        display.line(f"to follow it: tensorboard --logdir {_typed(folder)}")
        yield
        board.add_pictures(sorted(run.pictures.glob("*.png")))


def _default_name(config: Config) -> str:
    ways = "" if config.is_regression else f"{config.output_count}w"
    return f"{config.name}-{ways}{config.shots}s-{short_name(config.algorithm)}"


def _check_samplers(problem: Problem, config: Config) -> None:
    """Raise `DataError` for a split too small for the tasks, before a run is made."""
    algorithm_of(config).training_sampler(problem, config)
    for part in ("validation", "test"):
        problem.sampler(part, config.shots, config.queries, config.seed)


def resume(
    path: Path,
    dataset: str | None,
    out: Path | None,
    given: Mapping[str, Any],
    tensorboard: bool = False,
) -> int:
    """Go on with a run, perhaps with a larger budget or its data elsewhere."""
    changes = {name: value for name, value in given.items() if value is not None}
    fixed = [name for name in changes if name not in ("iterations", "minutes", "data", "device")]
    if dataset is not None or out is not None or fixed:
        what = fixed[0] if fixed else ("out" if out is not None else "dataset")
        raise OptionError(
            f"--resume {path}: goes on with the run's own options, and {what!r} was given; only "
            "--iterations, --minutes, --data and --device may change"
        )
    if tensorboard:
        check_installed()
    run = open_run(path)
    run.check_whole()
    config = _resumed_config(run.config, changes)
    checked_device(config.device)
    _check_budget(run, config)
    with open_display(config.measure) as display:
        problem = _reopen(run, config, display)
        with run.locked():
            run = run.with_config(config)
            with _followed(run, display, tensorboard):
                _train(run, problem, display)
    return 0


def _resumed_config(config: Config, changes: Mapping[str, Any]) -> Config:
    if "data" in changes and config.data is None and config.dataset != "omniglot":
        raise OptionError(f"--data {changes['data']}: {config.dataset} reads no files")
    if "data" in changes:
        changes = {**changes, "data": os.path.abspath(changes["data"])}
    if {"iterations", "minutes"} & changes.keys():
        config = replace(config, **{"iterations": None, "minutes": None, **changes})
    return replace(config, **changes)


def _check_budget(run: Run, config: Config) -> None:
    """Raise `OptionError` for a budget that is smaller than what is spent."""
    if config == run.config or not run.last.exists():
        return
    done = checkpoints.read(run.last)[1]
    if config.iterations is not None and config.iterations < done["iteration"]:
        raise OptionError(
            f"--iterations {config.iterations}: {done['iteration']:,} are done already; give more"
        )
    if config.minutes is not None and 60 * config.minutes < done["seconds"]:
        raise OptionError(
            f"--minutes {config.minutes:g}: {done['seconds'] / 60:.1f} are spent already; give more"
        )


def _reopen(run: Run, config: Config, display: PlainDisplay) -> Problem:
    """A run's data, checked to be the same as in training."""
    if config.data is not None and not Path(config.data).exists():
        raise RunError(f"{config.data}: the data are no longer there; say where with --data")
    problem = open_problem(config, display.working, run.split())
    run.check_data(problem)
    return problem


def _introduce(display: PlainDisplay, run: Run, problem: Problem) -> None:
    config = run.config
    budget = [amount(config.iterations, "iteration")] if config.iterations else []
    budget += [f"{config.minutes:g} minute{'s' * (config.minutes != 1)}"] if config.minutes else []
    other_ways = f", {config.train_ways}-way in training" if config.train_ways else ""
    tasks = amount(config.meta_batch, "task")
    display.line(
        f"{config.task_name}{other_ways}: {config.algorithm} ({algorithm_of(config).describe()}), "
        f"{tasks} a meta-update, batch norm: {config.batch_norm}"
    )
    display.line(f"training on {problem.describe('train')}; at most {' or '.join(budget)}")
    if isinstance(problem, Tabular) and len(problem.split.train) < FEW_TASKS:
        count = len(problem.split.train)
        display.line(
            f"note: {amount(count, 'task')} to learn from: too few to tell what tasks "
            "have in common; scores on others may be poor"
        )
    for note in getattr(problem, "notes", ()):
        display.line(note)
    display.line(f"run: {run.path}")


def _train(run: Run, problem: Problem, display: PlainDisplay, notes: Sequence[str] = ()) -> None:
    _introduce(display, run, problem)
    for note in notes:
        display.line(note)
    with Interrupts() as interrupts:
        trainer = Trainer(run, problem, display)
        if trainer.device != "cpu":
            display.line(f"computing on {trainer.device}")
        if trainer.iteration:
            display.line(f"going on from iteration {trainer.iteration:,}")
        finished = trainer.train(interrupts.requested)
    again = f"metalearn train --resume {_typed(run.path)}"
    if not finished:
        raise Interrupted(
            f"stopped at iteration {trainer.iteration:,} and saved; go on with: {again}",
            interrupts.exit_code,
        )
    display.line(
        f"trained {amount(trainer.iteration, 'iteration')} in {duration(trainer.seconds)}; "
        f"more: {again} --iterations N"
    )
    _conclude(run, problem, display)


def _conclude(run: Run, problem: Problem, display: PlainDisplay) -> None:
    """A result to read and pictures to look at."""
    from metalearn import pictures

    trained = load_trained(run)
    result = evaluate_on(
        trained.on(chosen_device(run.config.device)),
        problem,
        episodes=FINAL_EPISODES,
        steps=run.config.eval_steps,
        queries=_evaluation_queries(problem, run.config.shots),
        progress=lambda done, total: display.working("evaluating", done, total),
    )
    write_json(run.path / "evaluation.json", result)
    for line in evaluation_lines(trained, problem, result):
        display.line(line)
    if trained.steps_lines(trained.steps):
        display.line(
            f"adapt and export take {amount(trained.steps, 'inner step')}, which did best in "
            "validation; --steps there, and --eval-steps here, decide otherwise"
        )
    for path in pictures.show(trained, problem, run.config.eval_steps):
        display.line(f"picture: {path}")
    display.line(f"evaluate at length: metalearn evaluate {_typed(run.path)}")


def _typed(path: Path) -> str:
    """A path as one would type it in a command."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def _evaluation_queries(problem: Problem, shots: int) -> int:
    """Queries a class: 15 as in the papers, or as many as the smallest test class has left."""
    left = problem.queries_left("test", shots)
    return WAVE_QUERIES if left is None else max(1, min(QUERIES, left))


# evaluate -------------------------------------------------------------------------------------


def evaluate(path: Path, options: Mapping[str, Any]) -> tuple[Trained, Problem, dict[str, Any]]:
    """Evaluate a run, save the result beside it, and return it."""
    _check_evaluation(options)
    run = open_run(path)
    elsewhere = options["on"] is not None
    config = run.config if elsewhere else _moved(run.config, options["data"])
    _check_asked(config, options)
    device = checked_device(options["device"] or "auto")
    trained = load_trained(run, options["checkpoint"], options["batch_norm"])
    with open_display(config.measure, to_stderr=True) as display:
        if elsewhere:
            data = None if options["data"] is None else str(options["data"])
            problem: Problem = other_domain(config, options["on"], data, display.working)
            for note in getattr(problem, "notes", ()):
                display.line(note)
        else:
            problem = _reopen(run, config, display)
        if options["upright"]:
            problem = _upright(problem, options["on"] or config.dataset)
        shots = options["shots"] or config.shots
        result = evaluate_on(
            trained.on(device),
            problem,
            episodes=options["episodes"],
            steps=_steps(config, options["steps"]),
            queries=options["queries"] or _evaluation_queries(problem, shots),
            part=options["part"],
            seed=options["seed"],
            progress=lambda done, total: display.working("evaluating", done, total),
            shots=shots,
        )
        if elsewhere:
            result["on"] = problem.record
        result["upright"] = options["upright"]
        try:
            write_json(run.path / "evaluation.json", result)
        except RunError as error:  # the result itself is worth printing all the same
            display.line(f"not saved: {error}")
    return trained, problem, result


def _upright(problem: Problem, dataset: str) -> Classification:
    """The same without rotated classes. Raises `OptionError` where there are none."""
    if not isinstance(problem, Classification) or len(problem.dataset.rotations) == 1:
        raise OptionError(f"--upright: {dataset} has no rotated classes; leave it out")
    return replace(problem, upright=True)


def _check_asked(config: Config, options: Mapping[str, Any]) -> None:
    """Raise `OptionError` for what this run's data have no use for."""
    if options["shots"] is not None and config.varies:
        raise OptionError(
            f"--shots {options['shots']}: this run's vary from class to class; leave it out"
        )
    if options["on"] is not None and options["part"] != "test":
        raise OptionError(f"--part {options['part']}: --on is all classes of it; leave --part out")


def _check_evaluation(options: Mapping[str, Any]) -> None:
    numbers = (("episodes", 2), ("steps", 1), ("queries", 1), ("shots", 1), ("seed", 0))
    for name, least in numbers:
        value = options[name]
        if value is not None and not least <= value <= MOST:
            raise OptionError(f"--{name} {value}: expected a whole number, {least} to {MOST:,}")
    if options["part"] not in PARTS:
        raise OptionError(f"--part {options['part']}: expected one of {', '.join(PARTS)}")
    _check_checkpoint(options["checkpoint"])


def _check_checkpoint(name: str) -> None:
    if name not in ("best", "last"):
        raise OptionError(f"--checkpoint {name}: expected best or last")


def _moved(config: Config, data: Path | None) -> Config:
    return config if data is None else _resumed_config(config, {"data": str(data)})


# adapt ----------------------------------------------------------------------------------------


def adapt(
    path: Path,
    support: Path,
    query: Path | None,
    steps: int | None,
    checkpoint: str,
    batch_norm: str | None,
    out: Path | None,
    as_json: bool,
    device: str | None = None,
    target: str | None = None,
) -> int:
    """Adapt a run to a user's files; print and save what it says of the queries."""
    _check_checkpoint(checkpoint)
    run = open_run(path)
    _check_steps(run.config, steps)
    if out is not None:
        check_free(out)
    trained = load_trained(run, checkpoint, batch_norm)
    steps = trained.steps if steps is None else steps
    if query is None and support.suffix.lower() != ".csv":
        raise OptionError(
            f"--query: not given; expected what to predict, as --support {support} is no .csv file"
        )
    task = read_task(trained, support, query, target)
    if not len(task.query):
        raise DataError(f"{support}: no row whose target is empty; expected rows to predict")
    adapted = adapt_to(
        trained.on(checked_device(device or "auto")),
        task.support,
        labels_of(task),
        steps,
        compiled=False,
    )
    predictions = predicted(adapted, task)
    notes = [*_cautions(trained, task), *_harm(trained, adapted, task, steps)]
    record = _adapted_record(trained, task, predictions, notes, support, query or support, steps)
    folder = _save_adapted(out, trained, task, predictions, record, steps)
    if as_json:
        print(to_json(record, indent=1))
    else:
        print_lines(_adapted_lines(trained, task, predictions, notes, steps, folder))
    return 0


def _steps(config: Config, given: int | None) -> int:
    """The inner steps to tell scores of: those of validation, where no others are given."""
    _check_steps(config, given)
    return config.eval_steps if given is None else given


def _check_steps(config: Config, given: int | None) -> None:
    if given is None:
        return
    if not 1 <= given <= MOST:
        raise OptionError(f"--steps {given}: expected a whole number, 1 to {MOST:,}")
    if "eval_steps" in algorithm_of(config).without:
        raise OptionError(f"--steps {given}: {config.algorithm} has no inner steps; leave it out")


def _adapted_record(
    trained: Trained,
    task: NewTask,
    predictions: Predictions,
    notes: Sequence[str],
    support: Path,
    query: Path,
    steps: int,
) -> dict[str, Any]:
    right = share_right(predictions)
    score = {"accuracy": None if right is None else right[0] / right[1]}
    if not task.classes:
        score = {"mse": mean_square_error(predictions)}
    return {
        **trained.about(),
        "steps": steps,
        "support": str(support),
        "query": str(query),
        "classes": list(task.classes),
        "notes": list(notes),
        **score,
        "predictions": [p._asdict() for p in predictions],
    }


def _save_adapted(
    out: Path | None,
    trained: Trained,
    task: NewTask,
    predictions: Predictions,
    record: Mapping[str, Any],
    steps: int,
) -> Path:
    """Save the results in a folder that appears as a whole, and return it."""
    from metalearn import pictures

    figure = pictures.adapted_picture(trained, task, predictions, steps)
    picture = None if figure is None else pictures.png(figure)
    names = [str(label) for label in task.classes]
    table = predictions_csv(predictions, names).encode(errors="backslashreplace")
    parent = trained.run.path / "adapted" if out is None else out.absolute().parent
    name = Path(record["query"]).resolve().name
    temporary = parent / f".{os.getpid()}.new"
    try:
        temporary.mkdir(parents=True)
        checkpoints.write_atomically(temporary / "predictions.csv", table)
        if picture is not None:
            checkpoints.write_atomically(temporary / "predictions.png", picture)
        write_json(temporary / "predictions.json", record)
    except (OSError, RunError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        reason = error.strerror if isinstance(error, OSError) else error
        raise RunError(f"{parent}: cannot be written ({reason}); choose another --out") from error
    return publish(temporary, *((parent, name) if out is None else (out, None)))


def _adapted_lines(
    trained: Trained,
    task: NewTask,
    predictions: Predictions,
    notes: Sequence[str],
    steps: int,
    folder: Path,
) -> list[str]:
    what = "image" if task.support[0].ndim == 4 else "example"
    classes = ", ".join(printable(str(label)) for label in task.classes)
    lines = [
        _adapted_line(steps, len(task.support[1]), what, classes),
        *trained.steps_lines(steps),
        *trained.describe(),
        *_prediction_lines(predictions),
        *(f"note: {note}" for note in notes),
    ]
    right, error = share_right(predictions), mean_square_error(predictions)
    if right is not None:
        lines.append(f"{right[0]} of {right[1]} right ({100 * right[0] / right[1]:.1f} %)")
    if error is not None:
        table = trained.run.record["dataset"].get("preprocess", {})
        unit = (
            f" (root {error**0.5:.3g}, in units of {table['target']!r})"
            if "target" in table
            else ""
        )
        lines.append(f"MSE {error:.3g}{unit}")
    saved = ", ".join(sorted(file.name for file in folder.iterdir()))
    return [*lines, f"saved: {folder} ({saved})"]


def _adapted_line(steps: int, count: int, what: str, classes: str) -> str:
    of = f" of {classes}" if classes else ""
    return f"adapted by {amount(steps, 'inner step')} to {amount(count, what)}{of}"


def _prediction_lines(predictions: Predictions) -> list[str]:
    width = max(len(printable(p.file)) for p in predictions)
    if not isinstance(predictions[0], Prediction):
        return [
            f"  {printable(p.file):{width}s}  {p.predicted:.6g}"
            + ("" if p.true is None else f"  (true: {p.true:.6g})")
            for p in predictions
            if isinstance(p, Value)
        ]
    lines = []
    known = [p for p in predictions if isinstance(p, Prediction)]
    names = max(len(printable(p.predicted)) for p in known)
    for p in known:
        verdict = "" if p.true is None else ("  right" if p.true == p.predicted else "  WRONG")
        chance = f"{100 * p.probability:5.1f} %"
        file, name = printable(p.file), printable(p.predicted)
        lines.append(f"  {file:{width}s}  {name:{names}s}  {chance}{verdict}")
    return lines


def _harm(trained: Trained, adapted: Adapted, task: NewTask, steps: int) -> list[str]:
    """Said where adaptation did not even help on what it has seen."""
    if not steps:
        return []
    x, y = task.support
    unadapted = adapt_to(trained, task.support, labels_of(task), 0, compiled=False)
    loss = lambda model: float(trained.learner.measure.loss(model.apply(x, compiled=False), y))
    before, after = loss(unadapted), loss(adapted)
    if after <= before:
        return []
    return [
        f"the loss on the {len(y)} labelled examples rose from {before:.3g} to {after:.3g}: "
        "adaptation does harm here; give fewer --steps, or train with a lower --inner-lr"
    ]


def _cautions(trained: Trained, task: NewTask) -> list[str]:
    """What a reader of the predictions should know."""
    notes = list(task.notes)
    learned = {image.tobytes() for image in task.support[0]}
    known = sum(image.tobytes() in learned for image in task.query)
    if known:
        text = few_text(known, len(task.query), "query", "queries")
        notes.append(f"{text} among the support images")
    if trained.learner.mode == "transductive" and len(task.query) < len(task.classes):
        notes.append(
            f"queries, {len(task.query)} here, are normalised by their own statistics, too few for "
            f"{len(task.classes)} classes; --batch-norm support uses those of the support images"
        )
    return notes


# export ---------------------------------------------------------------------------------------


def export(path: Path, support: Path, out: Path, options: Mapping[str, Any]) -> int:
    """Adapt a run to a user's files, and write the adapted model as one file."""
    _check_checkpoint(options["checkpoint"])
    if out.suffix not in SUFFIXES:
        raise OptionError(f"--out {out}: expected a name that ends in {' or '.join(SUFFIXES)}")
    if out.exists():
        raise OptionError(f"--out {out}: exists already; choose another name")
    run = open_run(path)
    _check_steps(run.config, options["steps"])
    mode = options["batch_norm"] or mode_alone(run.config)
    trained = load_trained(run, options["checkpoint"], mode)
    steps = trained.steps if options["steps"] is None else options["steps"]
    task = read_task(trained, support, None, options["target"])
    placed = trained.on(checked_device(options["device"] or "auto"))
    adapted = adapt_to(placed, task.support, labels_of(task), steps, compiled=False)
    save_model(out, adapted)
    classes = ", ".join(printable(str(label)) for label in task.classes)
    lines = [
        _adapted_line(steps, len(task.support[1]), "example", classes),
        *trained.steps_lines(steps),
        *trained.describe(),
        *_onnx_notes(out, adapted),
        *(f"note: {note}" for note in task.notes),
        f"saved: {out}",
    ]
    print_lines(lines)
    return 0


def _onnx_notes(out: Path, adapted: Adapted) -> list[str]:
    """What who feeds an ONNX graph has to know."""
    columns = adapted.inputs.columns
    if out.suffix == ".onnx" and adapted.inputs.ink == "auto":
        return ["note: its input x is images of bright ink on dark; invert others before"]
    if out.suffix != ".onnx" or columns is None:
        return []
    from metalearn.onnx_export import takes_columns

    names = ", ".join(map(printable, columns))
    if takes_columns(adapted):
        return [f"its input x is the columns {names}, float64, NaN where no value is"]
    return [
        f"note: its input x is {adapted.inputs.width} numbers, which the columns {names} become as "
        'its metadata "inputs" says: texts and dates do not fit; a .safetensors file takes the '
        "columns"
    ]


# show -----------------------------------------------------------------------------------------


def show(path: Path, steps: int | None, checkpoint: str, seed: int, data: Path | None) -> int:
    """Draw a run's pictures and print their paths."""
    from metalearn import pictures

    _check_checkpoint(checkpoint)
    run = open_run(path)
    config, steps = _moved(run.config, data), _steps(run.config, steps)
    trained = load_trained(run, checkpoint)
    with open_display(config.measure, to_stderr=True) as display:
        problem = _reopen(run, config, display)
    for picture in pictures.show(trained, problem, steps, seed):
        print(picture)
    return 0


# check ----------------------------------------------------------------------------------------


SMALL = {"filters": 4, "image_size": 14}
"""The network that a check uses by default, for images."""


def check(dataset: str, given: Mapping[str, Any], episodes: int) -> int:
    """Check an algorithm on a dataset's tasks, and those tasks; 1 when something is wrong."""
    if not 1 <= episodes <= MOST:
        raise OptionError(f"--episodes {episodes}: expected a whole number, 1 to {MOST:,}")
    config = make_config(dataset, given)
    if config.model == "conv4":
        unused = UNUSED[kind_of(config.dataset)]
        small = {name: value for name, value in SMALL.items() if name not in unused}
        given = {**given, **{name: given[name] or value for name, value in small.items()}}
    with open_display(config.measure) as display:
        config, problem, notes = _opened(dataset, given, display)
        algorithm = algorithm_of(config)
        sampler = algorithm.training_sampler(problem, config)
        tasks = sampler.sample(0, range(TASKS_CHECKED))
        each = [ac.tree_map(lambda x, i=i: x[i], tasks) for i in range(TASKS_CHECKED)]
        ways = config.train_ways or config.output_count
        learner = Learner(model_of(config), problem.measure, config.batch_norm, ways=ways)
        display.line(f"{config.algorithm} ({algorithm.describe()}), {learner.model.name}, float64")
        for note in (*notes, *getattr(problem, "notes", ())):
            display.line(note)
        found = check_algorithm(algorithm, learner, each, config.seed)
        found += check_tasks(problem, config.shots, config.queries, episodes, config.seed)
        for finding in found:
            display.line(finding.text())
    return int(any(finding.passed is False for finding in found))
