"""The command line: train, evaluate, adapt, export, show, check, experiment.

Exit codes: 0 done; 1 an error; 2 options that make no sense; 130 stopped by Ctrl-C. An error is
one line on standard error; METALEARN_TRACEBACK=1 or --debug shows where it came from.
"""

import contextlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, cast

import typer

import autograd_core as ac
from metalearn import commands, own
from metalearn.algorithms import ALGORITHMS
from metalearn.catalogue import FUNCTIONS, IMAGES
from metalearn.config import OPTIMIZERS
from metalearn.errors import MetalearnError, OptionError, printable
from metalearn.experiments import EXPERIMENTS
from metalearn.normalisation import MODES
from metalearn.own import named, own_files, told_by_own
from metalearn.runs import to_json
from metalearn.tasks import DataError

# Wherever this version of typer keeps it.
ClickException = cast(type[Exception], typer.BadParameter.__mro__[2])

app = typer.Typer(
    name="metalearn",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

MODES_HELP = "; ".join(f"{mode}: {meaning}" for mode, meaning in MODES.items())

# Panels of the help text.
TASK, ALGORITHM, BUDGET, NETWORK, FILES = (
    "What a task is",
    "The algorithm",
    "How long, and how often",
    "The network and the images",
    "Where things are",
)


def option(help: str, panel: str | None = None, flag: str | None = None, **more: Any) -> Any:
    names = [flag] if flag else []
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=False, **more)


Debug = Annotated[bool, option("Show where an error came from.", flag="--debug")]
RunPath = Annotated[Path, typer.Argument(help="The folder that `train` made.", show_default=False)]
Data = Annotated[
    Path | None, option("Where the data lie now, if not where they lay in training.", FILES)
]
Device = Annotated[
    str | None,
    option("Where to compute: auto [default: a GPU if there is one], cpu, cuda, or cuda:1."),
]
Checkpoint = Annotated[str, typer.Option(help="Use the best parameters in validation, or last.")]
BatchNorm = Annotated[
    str | None,
    option("Normalise otherwise than in training: transductive or support.", flag="--batch-norm"),
]
Steps = Annotated[
    int | None, option("Inner steps; by default what validation used in training.", flag="--steps")
]
AdaptSteps = Annotated[
    int | None,
    option(
        "Inner steps; by default what did best in validation, or --eval-steps where training was "
        "given them.",
        flag="--steps",
    ),
]
Support = Annotated[
    Path,
    option(
        "What to learn from: a folder with a folder of images for each class, an .npz file with x "
        "and y, or a .csv file."
    ),
]
AdaptTarget = Annotated[
    str | None, option("The column of a .csv file to predict [y, or else the last].")
]


DATASETS_HELP = (
    f"A family of functions ({', '.join(FUNCTIONS)}); images ("
    + "; ".join(f"{name}: {source.about}" for name, source in IMAGES.items() if name != "folder")
    + "); a folder with a folder of images for each class; a .csv file with a task column "
    "(commas, semicolons, tabs or pipes), or a folder of them, one a task; an .npz file of x and "
    "y; or your own tasks as file.py:Class. omniglot+glyphs are several domains, and "
    "glyphs-completion images to be told from a few pixels."
)
Ways = Annotated[int | None, option("Classes a task [5].", TASK)]
Shots = Annotated[
    int | None, option("Examples of each class to learn from [1; regression and tables: 10].", TASK)
]
Queries = Annotated[
    int | None,
    option("Examples of each class to be judged by [5; regression and tables: 10].", TASK),
]
FewestWays = Annotated[
    int | None, option("Where ways vary from task to task: from so many up to --ways.", TASK)
]
MostShots = Annotated[
    int | None, option("Where shots vary from class to class: from --shots up to so many.", TASK)
]
TaskColumn = Annotated[
    str | None,
    option(
        "The column of a table whose values are the tasks [task; in a folder: each file].", TASK
    ),
]
Target = Annotated[str | None, option("The column of a table to predict.", TASK)]
Ignore = Annotated[
    list[str] | None,
    option(
        "A column of a table to leave out, such as names or notes; can be given several times.",
        TASK,
    ),
]
Labels = Annotated[
    str | None,
    option(
        "Of a table: shared by all tasks [default], each task's own, as --ways many, or numbers, "
        "where few whole ones are no classes.",
        TASK,
    ),
]
SplitName = Annotated[
    str | None,
    option(
        "Which classes are held out: random [default; Omniglot: the papers' 1200/423], "
        "alphabets (Omniglot's own), or a JSON file of a split.",
        TASK,
    ),
]
AlgorithmName = Annotated[
    str | None,
    option(f"One of {', '.join(ALGORITHMS)} [maml], or your own as file.py:Class.", ALGORITHM),
]
Settings = Annotated[
    list[str] | None,
    option(
        "A setting of that algorithm, such as adapts=head; can be given several times.",
        ALGORITHM,
        flag="--set",
    ),
]
InnerSteps = Annotated[
    int | None,
    option(
        "Gradient steps on the support set in training [1; regression on your own data: 5].",
        ALGORITHM,
    ),
]
InnerRate = Annotated[
    float | None,
    option(
        "Rate of those steps, per unit of *mean* loss [images: 1; regression: 0.01; classes of "
        "tables: 0.1]. The MAML paper's code sums over classes: its 0.4 at 5 ways, and 0.1 at 20, "
        "are 2.0 here.",
        ALGORITHM,
    ),
]
TrainingBatchNorm = Annotated[
    str | None, option(f"Which statistics normalise [transductive]. {MODES_HELP}.", ALGORITHM)
]
ModelName = Annotated[str | None, option("conv4 [images] or mlp [all else].", NETWORK)]
Filters = Annotated[int | None, option("Of each convolution in conv4 [64].", NETWORK)]
Pooling = Annotated[
    str | None, option("How conv4 halves: stride, max-pool, or auto [by image size].", NETWORK)
]
Hidden = Annotated[str | None, option("Layer widths of mlp, such as 40,40 [default].", NETWORK)]
ImageSize = Annotated[int | None, option("Pixels a side that images are scaled to [28].", NETWORK)]
Channels = Annotated[
    int | None,
    option("Of images in a folder: 1, grey, or 3, RGB [3 if any is in colour].", NETWORK),
]
Ink = Annotated[
    str | None,
    option(
        "Of your own grey images, which are to have bright ink: auto looks at each [default; in "
        "an .npz file at all together], dark inverts, light, or keep as they are.",
        NETWORK,
    ),
]
TrainingData = Annotated[
    str | None,
    option(
        "Where a named dataset lies; omniglot is downloaded when not given. Of several "
        "domains, NAME=PATH,NAME=PATH.",
        FILES,
    ),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"metalearn {ac.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        option(
            "Print the version and stop.",
            flag="--version",
            is_eager=True,
            callback=_print_version,
        ),
    ] = False,
    debug: Debug = False,
) -> None:
    """Learn to learn: meta-train a network on many small tasks, then adapt it to new ones.

    **train** it, **evaluate** it on classes it has never seen, **adapt** it to your own data,
    **export** what came of it, and **show** what it does in pictures; **check** algorithms and
    tasks of your own. Start with `metalearn train glyphs`: it needs no data.
    """
    del version, debug  # one has its callback, `run` reads the other


@app.command()
def train(
    dataset: Annotated[
        str | None,
        typer.Argument(
            help=DATASETS_HELP,
            show_default=False,
        ),
    ] = None,
    ways: Ways = None,
    train_ways: Annotated[
        int | None,
        option(
            "Classes a task in training, where the algorithm makes a head for each task [as "
            "--ways; protonet: 60].",
            TASK,
        ),
    ] = None,
    fewest_ways: FewestWays = None,
    shots: Shots = None,
    train_shots: Annotated[
        int | None,
        option("Such examples in training [as --shots; reptile: 15, of functions 50].", TASK),
    ] = None,
    most_shots: MostShots = None,
    queries: Queries = None,
    split: SplitName = None,
    task_column: TaskColumn = None,
    target: Target = None,
    ignore: Ignore = None,
    labels: Labels = None,
    algorithm: AlgorithmName = None,
    settings: Settings = None,
    inner_steps: InnerSteps = None,
    inner_lr: InnerRate = None,
    meta_lr: Annotated[
        float | None,
        option("Rate of the meta-updates [images: 0.003; regression: 0.001].", ALGORITHM),
    ] = None,
    meta_lr_final: Annotated[
        float | None, option("Where their rate ends [0], as --schedule says.", ALGORITHM)
    ] = None,
    meta_optimizer: Annotated[
        str | None,
        option(f"What makes them: one of {', '.join(OPTIMIZERS)} [adam].", ALGORITHM),
    ] = None,
    meta_clip: Annotated[
        float | None,
        option("Limit each entry of a meta-gradient to this size [no limit].", ALGORITHM),
    ] = None,
    schedule: Annotated[
        str | None,
        option("Of that rate over the budget: cosine [default], linear or constant.", ALGORITHM),
    ] = None,
    batch_norm: TrainingBatchNorm = None,
    remat: Annotated[
        str | None,
        option(
            "What of the inner loop to compute again rather than keep, to save memory: none "
            "[default], every (step), or sqrt (stretches of √steps).",
            ALGORITHM,
        ),
    ] = None,
    meta_batch: Annotated[
        int | None, option("Tasks a meta-update [16; regression: 25].", ALGORITHM)
    ] = None,
    task_slice: Annotated[
        str | None,
        option(
            "Compute so many tasks at a time, to save memory, or auto [default]: all of them on a "
            "GPU and with --no-jit, where results are the same up to rounding; a compiled "
            "meta-update on the CPU takes its tasks one by one on each core, whatever is given.",
            ALGORITHM,
        ),
    ] = None,
    device: Device = None,
    jit: Annotated[
        bool | None,
        option(
            "Compile meta-updates and evaluation [default], or run them operation by operation.",
            ALGORITHM,
            flag="--jit/--no-jit",
        ),
    ] = None,
    iterations: Annotated[
        int | None,
        option(
            "Stop after so many meta-updates; exactly repeatable [omniglot, folders: 5000, or 20 "
            "minutes; regression: 20000, on your own data 5000].",
            BUDGET,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        option(
            "Stop after so many minutes of training; with --iterations, at the first [glyphs: 2].",
            BUDGET,
        ),
    ] = None,
    validate_every: Annotated[
        int | None,
        option(
            "Meta-updates between validations [250; glyphs: 50; regression: 2000, on your own "
            "data 500].",
            BUDGET,
        ),
    ] = None,
    validation_episodes: Annotated[
        int | None,
        option("Episodes a validation [100; regression: 200, on your own data 100].", BUDGET),
    ] = None,
    eval_steps: Annotated[
        int | None,
        option(
            "Inner steps in validation and evaluation [3; regression: 10, on your own data 5]. If "
            "given, `adapt` takes as many; else those that did best in validation.",
            BUDGET,
        ),
    ] = None,
    seed: Annotated[
        int | None, option("Of the initial parameters and the order of tasks [0].", BUDGET)
    ] = None,
    model: ModelName = None,
    filters: Filters = None,
    pooling: Pooling = None,
    hidden: Hidden = None,
    image_size: ImageSize = None,
    channels: Channels = None,
    ink: Ink = None,
    data: TrainingData = None,
    out: Annotated[
        Path | None, option("The run's folder to make; it must not exist [runs/…].", FILES)
    ] = None,
    resume: Annotated[
        Path | None,
        option(
            "Go on with this run; only --iterations, --minutes, --data and --device may change.",
            FILES,
        ),
    ] = None,
    tensorboard: Annotated[
        bool,
        option(
            "Write metrics and pictures for TensorBoard too, in RUN/tensorboard; needs "
            "tensorboardX. A run that is resumed goes on with it.",
            FILES,
            flag="--tensorboard",
        ),
    ] = False,
    debug: Debug = False,
) -> int:
    """Meta-train a model on a dataset, with progress, checkpoints and pictures in a run's folder.

    Ctrl-C saves and stops; `--resume RUN` goes on, also after a crash. With --iterations alone that
    leads to the same parameters, bit for bit; under --minutes the rate follows the clock.

        metalearn train glyphs --minutes 2

        metalearn train omniglot --ways 5 --shots 1

        metalearn train sinusoid --shots 10
    """
    given = dict(locals())
    for name in ("dataset", "out", "resume", "tensorboard", "debug"):
        del given[name]
    given["settings"] = _settings(settings)
    given["hidden"] = None if hidden is None else _widths(hidden)
    given["ignore"] = tuple(ignore) if ignore else None
    given["task_slice"] = _count("--task-slice", task_slice)
    if resume is not None:
        return commands.resume(resume, dataset, out, given, tensorboard)
    if dataset is None:
        raise OptionError("no dataset; expected a name such as glyphs, a path, or --resume")
    return commands.train(dataset, out, given, tensorboard)


def _settings(texts: list[str] | None) -> dict[str, str] | None:
    """Settings by name, as text; None where none is given."""
    if not texts:
        return None
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise OptionError(f"--set {text}: expected NAME=VALUE, such as adapts=head")
        if name in found:
            raise OptionError(f"--set {text}: {name} was given as {found[name]} before")
        found[name] = value
    return found


def _count(flag: str, text: str | None) -> int | None:
    """A whole number; None for "auto"."""
    if text is None or text == "auto":
        return None
    try:
        return int(text)
    except ValueError as error:
        raise OptionError(f"{flag} {text}: expected a whole number, or auto") from error


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise OptionError(f"--hidden {text}: expected layer widths such as 40,40") from error


@app.command()
def evaluate(
    run: RunPath,
    episodes: Annotated[int, typer.Option(help="Tasks to evaluate on.")] = 600,
    steps: Steps = None,
    queries: Annotated[
        int | None, option("Examples of each class to be judged by [15; regression: 100].")
    ] = None,
    shots: Annotated[
        int | None, option("Examples of each class to learn from, if not as many as in training.")
    ] = None,
    part: Annotated[str, typer.Option(help="Classes of test, validation or train.")] = "test",
    on: Annotated[
        str | None,
        option("Another dataset of images, as of `train`: all its classes, none seen before."),
    ] = None,
    upright: Annotated[
        bool,
        option(
            "Omniglot: characters as drawn, without rotated ones as further classes.",
            flag="--upright",
        ),
    ] = False,
    checkpoint: Checkpoint = "best",
    batch_norm: BatchNorm = None,
    seed: Annotated[int, typer.Option(help="Of the episodes.")] = 0,
    data: Data = None,
    device: Device = None,
    as_json: Annotated[bool, option("Print the result as JSON.", flag="--json")] = False,
    debug: Debug = False,
) -> int:
    """Score a run on tasks of classes it has never seen, before adaptation and after each step.

    Prints the mean over episodes with its 95 % interval, and saves it as RUN/evaluation.json; of
    tables also what the support rows alone give, without training. On another dataset, `--data` is
    where that lies.
    """
    del debug
    trained, problem, result = commands.evaluate(
        run,
        {
            "episodes": episodes,
            "steps": steps,
            "queries": queries,
            "shots": shots,
            "part": part,
            "on": on,
            "upright": upright,
            "checkpoint": checkpoint,
            "batch_norm": batch_norm,
            "seed": seed,
            "data": data,
            "device": device,
        },
    )
    if as_json:
        print(to_json(result, indent=1))
    else:
        commands.print_lines(commands.evaluation_lines(trained, problem, result))
    return 0


@app.command()
def adapt(
    run: RunPath,
    support: Support,
    query: Annotated[
        Path | None,
        option(
            "A folder of images to name, loose or, to count what is right, in class folders; an "
            ".npz file with x, and y where it is known, or .npy."
        ),
    ] = None,
    target: AdaptTarget = None,
    steps: AdaptSteps = None,
    checkpoint: Checkpoint = "best",
    batch_norm: BatchNorm = None,
    out: Annotated[
        Path | None, option("Where to save; it must not exist [RUN/adapted/…].", FILES)
    ] = None,
    device: Device = None,
    as_json: Annotated[bool, option("Print the predictions as JSON.", flag="--json")] = False,
    debug: Debug = False,
) -> int:
    """Adapt a trained model to your own few examples, and predict others.

    Prints each prediction with its probability, and saves them as CSV, JSON and a picture. In a
    .csv file, rows with a target are learned from, and those whose target is empty predicted.

        metalearn adapt runs/omniglot --support my/examples --query my/images

        metalearn adapt runs/omniglot --support examples.npz --query images.npy

        metalearn adapt runs/sinusoid --support points.csv
    """
    del debug
    return commands.adapt(
        run, support, query, steps, checkpoint, batch_norm, out, as_json, device, target
    )


@app.command()
def export(
    run: RunPath,
    support: Support,
    out: Annotated[
        Path,
        option(
            "The file to make: .safetensors, for metalearn.load in Python, or .onnx, for other "
            "programs (needs the package onnx). Of a table, an ONNX file takes its columns where "
            "all are numbers, and else what they become by the metadata in it."
        ),
    ],
    target: AdaptTarget = None,
    steps: AdaptSteps = None,
    checkpoint: Checkpoint = "best",
    batch_norm: Annotated[
        str | None,
        option(
            "Normalise otherwise than in training. Where that was transductive, the support set's "
            "statistics are used, as each example is to be judged alone.",
            flag="--batch-norm",
        ),
    ] = None,
    device: Device = None,
    debug: Debug = False,
) -> int:
    """Adapt a trained model to your own few examples, and write it to one file.

    The file holds the adapted parameters, the network, the classes and what the images are scaled
    to: it predicts without the run.

        metalearn export runs/omniglot --support my/examples --out model.onnx
    """
    options = {
        "target": target,
        "steps": steps,
        "checkpoint": checkpoint,
        "batch_norm": batch_norm,
        "device": device,
    }
    del debug
    return commands.export(run, support, out, options)


@app.command()
def show(
    run: RunPath,
    steps: Steps = None,
    checkpoint: Checkpoint = "best",
    seed: Annotated[int, typer.Option(help="Of the tasks shown.")] = 0,
    data: Data = None,
    debug: Debug = False,
) -> int:
    """Draw a run: its learning curves, and a test task before and after adaptation.

    Saves PNG files in RUN/pictures and prints their paths.
    """
    del debug
    return commands.show(run, steps, checkpoint, seed, data)


@app.command()
def check(
    dataset: Annotated[
        str, typer.Argument(help="The tasks to check, as of `train`.", show_default=False)
    ] = "sinusoid",
    ways: Ways = None,
    fewest_ways: FewestWays = None,
    shots: Shots = None,
    most_shots: MostShots = None,
    queries: Queries = None,
    split: SplitName = None,
    task_column: TaskColumn = None,
    target: Target = None,
    ignore: Ignore = None,
    labels: Labels = None,
    algorithm: AlgorithmName = None,
    settings: Settings = None,
    inner_steps: InnerSteps = None,
    inner_lr: InnerRate = None,
    batch_norm: TrainingBatchNorm = None,
    model: ModelName = None,
    filters: Annotated[int | None, option("Of each convolution in conv4 [4].", NETWORK)] = None,
    pooling: Pooling = None,
    hidden: Hidden = None,
    image_size: Annotated[
        int | None, option("Pixels a side that images are scaled to [14].", NETWORK)
    ] = None,
    channels: Channels = None,
    ink: Ink = None,
    data: TrainingData = None,
    seed: Annotated[int | None, option("Of the parameters and the tasks [0].", BUDGET)] = None,
    episodes: Annotated[int, typer.Option(help="Tasks of each part to look at.")] = 100,
    debug: Debug = False,
) -> int:
    """Check an algorithm's meta-gradient and a dataset's tasks, yours or ours.

    The meta-gradient against differences of the meta-loss; the first order against differences with
    constant inner gradients; and whether the parts of the split are apart and tasks repeatable.
    Small networks are quick. The exit code is 1 when a test fails.

        metalearn check sinusoid --algorithm my_file.py:MyAlgorithm

        metalearn check my_images --ways 3
    """
    given = dict(locals())
    for name in ("dataset", "episodes", "debug"):
        del given[name]
    given["settings"] = _settings(settings)
    given["hidden"] = None if hidden is None else _widths(hidden)
    given["ignore"] = tuple(ignore) if ignore else None
    return commands.check(dataset, given, episodes)


@app.command()
def experiment(
    name: Annotated[
        str,
        typer.Argument(
            help="; ".join(f"{name}: {found.about}" for name, found in EXPERIMENTS.items()),
            show_default=False,
        ),
    ],
    quick: Annotated[
        bool, option("The same question in minutes, with smaller settings.", flag="--quick")
    ] = False,
    seeds: Annotated[int | None, option("How many to compute, if not its own number.")] = None,
    only: Annotated[
        list[str] | None,
        option("An arm to compute, and leave the others; can be given several times."),
    ] = None,
    data: Annotated[
        str | None,
        option(
            "Where datasets lie: omniglot=PATH,fashion-mnist=PATH. Others are found or downloaded.",
            FILES,
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Where runs and cells are kept.", rich_help_panel=FILES)
    ] = Path("runs/experiments"),
    results: Annotated[
        Path, typer.Option(help="Where its table and pictures go.", rich_help_panel=FILES)
    ] = Path("benchmarks/results"),
    device: Device = None,
    debug: Debug = False,
) -> int:
    """Compare algorithms as the papers do: train, test, and write a table and pictures.

    What is interrupted goes on where it stood when the same command is given again.
    """
    del debug
    from metalearn.experiments.running import experiment

    return experiment(name, quick, seeds, only or [], data, out, results, device or "auto")


# Running, and telling what went wrong ---------------------------------------------------------


STOPPED = "stopped; what was saved before is intact"


def run(arguments: Sequence[str]) -> int:
    """Run one command line; its exit code."""
    _open_streams()
    own.FILES.clear()
    debug = "--debug" in arguments or os.environ.get("METALEARN_TRACEBACK", "0") not in ("", "0")
    if debug:
        return _run(arguments)
    with _polite_kills() as killed, warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print(f"metalearn: {message}", file=sys.stderr)
        code = _guarded(lambda: _run(arguments))
    return 128 + killed[0] if killed and code == 130 else code


def _open_streams() -> None:
    """Streams that were closed swallow what is printed; what they cannot encode is replaced."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - as long as the process
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


@contextmanager
def _polite_kills() -> Iterator[list[int]]:
    """Answer SIGTERM as Ctrl-C is answered, where training does not do so by itself; the signals
    that came."""
    killed: list[int] = []

    def stop(number: int, _frame: Any) -> None:
        killed.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield killed
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield killed
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(arguments: Sequence[str]) -> int:
    return int(app(list(arguments), prog_name="metalearn", standalone_mode=False) or 0)


def _guarded(call: Callable[[], int]) -> int:
    """The exit code of a call, whose errors are told in one line."""
    try:
        code = call()
        sys.stdout.flush()
        # typer turns Ctrl-C into this code, without a word.
        return _tell(STOPPED, code) if code == 130 else code
    except ClickException as error:
        message = _wording(error)
        # Without a command the help has been printed, and there is nothing to add.
        return _tell(f"{message} (metalearn --help says more)", 2) if message else 2
    except MetalearnError as error:
        return _tell(str(error), error.exit_code)
    except DataError as error:
        return _tell(str(error), 1)
    except (KeyboardInterrupt, typer.Abort):
        return _tell(STOPPED, 130)
    except BrokenPipeError:
        _drop_output()  # whoever read it has left; nothing can be told there
        return 1
    except ac.DeviceError as error:
        return _tell(str(error), 1)
    except MemoryError as error:
        return _tell(
            f"out of memory ({error}); make the work smaller: --shots, --queries, --filters, "
            "--image-size, and in training --meta-batch, or with --no-jit --task-slice",
            1,
        )
    except OSError as error:
        if told_by_own(error) is not None:
            return _tell(_unexpected(error), 1)
        if error.filename is not None:
            return _tell(f"{error.filename}: {error.strerror}", 1)
        _drop_output()
        return _tell(f"the output cannot be written ({error.strerror or error})", 1)
    except Exception as error:
        return _tell(_unexpected(error), 1)


def _unexpected(error: Exception) -> str:
    """What no part of this program foresaw; where users' own files are in use, it may be theirs."""
    told = told_by_own(error)
    if told is not None:
        return f"{told} (--debug shows the whole traceback)"
    if own_files():
        return (
            f"unexpected {named(error)}, perhaps by what {' or '.join(own_files())} returns: "
            "--debug shows where; please report it if not"
        )
    return f"unexpected {named(error)} (METALEARN_TRACEBACK=1 shows where; please report it)"


def _drop_output() -> None:
    """Send what is still to be written nowhere, or Python would fail on it once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _wording(error: Any) -> str:
    return error.format_message().strip()


def _tell(message: str, code: int) -> int:
    with contextlib.suppress(OSError):
        print(f"metalearn: {printable(' '.join(message.split()))}", file=sys.stderr)
    return code
