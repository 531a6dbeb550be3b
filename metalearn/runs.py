"""A run's folder: what was asked for, what was measured, and what was learned.

    RUN/config.json                the options, and what they met: data, split, versions
    RUN/split.json                 the classes of each part (not for sinusoids)
    RUN/metrics.jsonl              a line for every few meta-updates and for each validation: see
                                   `training`, and `curves` for pictures of them
    RUN/checkpoints/last.safetensors    everything that training goes on from
    RUN/checkpoints/best.safetensors    the parameters that did best in validation
    RUN/pictures/, RUN/evaluation.json  made by `show` and `evaluate`
    RUN/tensorboard/               the metrics and pictures again, with --tensorboard

Every file is written as a whole or, metrics, line by line; a process killed at any moment leaves a
run that can be resumed.
"""

import json
import math
import os
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np

import autograd_core as ac
from metalearn import checkpoints
from metalearn.config import Config, algorithm_of
from metalearn.errors import RunError
from metalearn.normalisation import MODES
from metalearn.problems import Problem, read_split, settled
from metalearn.tasks import Split

FORMAT = 1


@dataclass(frozen=True)
class Run:
    """A run's folder and its configuration; make one with `create_run` or `open_run`."""

    path: Path
    config: Config
    record: Mapping[str, Any]  # all of config.json

    @property
    def last(self) -> Path:
        return self.path / "checkpoints" / "last.safetensors"

    @property
    def best(self) -> Path:
        return self.path / "checkpoints" / "best.safetensors"

    @property
    def pictures(self) -> Path:
        return self.path / "pictures"

    @property
    def order(self) -> int:
        """The order of the derivatives in the meta-gradient."""
        return self.record["algorithm"]["order"]

    @cached_property
    def metrics(self) -> "Metrics":
        return Metrics(self.path / "metrics.jsonl")

    def split(self) -> Split | None:
        """The recorded split. Raises `RunError` when it is not the one the run began with."""
        if self.record["split"] is None:
            return None
        split = read_split(self.path / "split.json")
        if split.hash != self.record["split"]["hash"]:
            raise RunError(
                f"{self.path / 'split.json'}: not the split that this run was trained with "
                f"(hash {split.hash[:12]}, expected {self.record['split']['hash'][:12]})"
            )
        return split

    def check_data(self, problem: Problem) -> None:
        """Raise `RunError` when the data are not those that the run was trained on."""
        expected = self.record["dataset"]["fingerprint"]
        found = problem.record["dataset"]["fingerprint"]
        if found != expected:
            raise RunError(
                f"{self.path}: the data have changed since training (fingerprint {found[:12]}, "
                f"recorded {expected[:12]}): give the folder of the same data with --data"
            )

    def check_whole(self) -> None:
        """Raise `RunError` when the checkpoint to go on from is missing from a trained run."""
        if not self.last.exists() and (self.best.exists() or self.metrics.read()):
            raise RunError(
                f"{self.last}: missing, though this run has been trained; put the file back, or "
                "train a new run: going on would overwrite what is there"
            )

    def with_config(self, config: Config) -> "Run":
        """The same run with other options, saved, such as a larger budget."""
        if config == self.config:
            return self
        run = replace(self, config=config, record={**self.record, "options": config.to_dict()})
        write_json(run.path / "config.json", run.record)
        return run

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training this run. Raises `RunError` when one does.

        The system lets go of the lock when the process ends, however it ends.
        """
        try:
            file = open(self.path / ".lock", "a+")  # noqa: SIM115
        except OSError as error:
            raise RunError(
                f"{self.path}: cannot be written ({error.strerror}); give access, or another --out"
            ) from error
        with file:
            if not _try_lock(file):
                raise RunError(
                    f"{self.path}: another process is training this run; wait for it, or give "
                    "another --out"
                )
            yield


def _try_lock(file: IO) -> bool:
    try:
        import fcntl
    except ImportError:  # not on this system: two trainings at once are then up to the user
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


# Making and finding runs ----------------------------------------------------------------------


def create_run(path: Path, config: Config, problem: Problem, order: int) -> Run:
    """A new run folder, which appears complete or not at all.

    Raises `RunError` when the path exists and is not an empty folder, or cannot be written.
    """
    check_free(path)
    config = settled(config, problem)
    record = _record(config, problem, order)
    whole = path.absolute()
    temporary = whole.with_name(f".{whole.name}.{os.getpid()}.new")
    try:
        (temporary / "checkpoints").mkdir(parents=True)
        write_json(temporary / "config.json", record)
        split = getattr(problem, "split", None)
        if split is not None:
            write_json(temporary / "split.json", split.to_dict())
        os.rename(temporary, path)
    except (OSError, RunError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        reason = error.strerror if isinstance(error, OSError) else error
        raise RunError(
            f"{path}: the run folder cannot be made ({reason}); choose another --out"
        ) from error
    return Run(path, config, record)


def check_free(path: Path) -> None:
    """Raise `RunError` when a path is taken: runs are never overwritten."""
    if path.is_symlink() or path.resolve() == Path.cwd():
        raise RunError(f"{path}: a link, or the current folder; name a folder to make with --out")
    try:
        if not path.exists() or (path.is_dir() and not any(path.iterdir())):
            return
    except OSError as error:
        raise RunError(
            f"{path}: cannot be looked into ({error.strerror}); choose another --out"
        ) from error
    if (path / "config.json").exists():
        raise RunError(
            f"{path}: there is a run here already; continue it with --resume {path}, or choose "
            "another --out"
        )
    raise RunError(f"{path}: exists and is not empty; choose another --out")


def free_path(folder: Path, name: str) -> Path:
    """`folder/name`, or `folder/name-2`, … : the first that does not exist."""
    path, number = folder / name, 1
    while path.exists():
        number += 1
        path = folder / f"{name}-{number}"
    return path


def publish(temporary: Path, folder: Path, name: str | None) -> Path:
    """Give a finished folder its name, in one step: `folder/name`, or the first of `name-2`, … that
    is free; `folder` itself without a name. Raises `RunError` where that cannot be."""
    while True:
        path = folder if name is None else free_path(folder, name)
        try:
            return temporary.rename(path)
        except OSError as error:
            if name is None or not path.exists():
                shutil.rmtree(temporary, ignore_errors=True)
                raise RunError(
                    f"{path}: cannot be made ({error.strerror}); choose another --out"
                ) from error


def _record(config: Config, problem: Problem, order: int) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "options": config.to_dict(),
        "algorithm": {"name": config.algorithm, "order": order},
        "batch_norm": {"mode": config.batch_norm, "meaning": MODES[config.batch_norm]},
        **problem.record,
        "seed": config.seed,
        "versions": {
            "metagrad": ac.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def open_run(path: Path) -> Run:
    """A run that exists. Raises `RunError` when there is none, or its record is damaged."""
    file = path / "config.json"
    try:
        record = json.loads(file.read_text())
        if not isinstance(record, dict):
            raise ValueError("it holds no record")
    except OSError as error:
        raise RunError(
            f"{path}: not a run ({file.name}: {error.strerror}); expected a folder that "
            "`metalearn train` made"
        ) from error
    except ValueError as error:
        raise RunError(f"{file}: damaged ({error}); expected JSON") from error
    try:
        if record["format"] != FORMAT:
            raise RunError(f"format {record['format']}; expected {FORMAT}")
        config = Config.from_dict(record["options"])
        parts = record["dataset"]["fingerprint"], record["split"], record["seed"]
        del parts  # they have to be there
        algorithm = record["algorithm"]
    except RunError as error:
        raise RunError(f"{file}: {error}") from error
    except (KeyError, TypeError) as error:
        raise RunError(f"{file}: not a run's record; it lacks {error}") from error
    known = {"name": config.algorithm, "order": algorithm_of(config).order}
    if algorithm != known:
        raise RunError(f"{file}: the algorithm {algorithm} is not that of the options, {known}")
    return Run(path, config, record)


def to_json(record: Any, indent: int | None = None) -> str:
    """A record as JSON, which knows no infinities and no NaN: they become null."""
    return json.dumps(_finite(record), indent=indent, allow_nan=False)


def _finite(record: Any) -> Any:
    if isinstance(record, float):
        return record if math.isfinite(record) else None
    if isinstance(record, Mapping):
        return {key: _finite(value) for key, value in record.items()}
    return [_finite(item) for item in record] if isinstance(record, list | tuple) else record


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a JSON file as a whole. Raises `RunError`."""
    checkpoints.write_atomically(path, (to_json(record, indent=1) + "\n").encode())


# Metrics --------------------------------------------------------------------------------------


class Metrics:
    """JSON lines, each with the `iteration` it was measured after.

    Lines wait in memory until `flush`, which comes before each checkpoint: so a checkpoint's file
    holds all lines up to it, and what lies after is dropped by `truncate` when training resumes.
    `listeners` are told of lines when they are on the disk.
    """

    def __init__(self, path: Path):
        self.path = path
        self.listeners: list[Callable[[Sequence[Mapping[str, Any]]], None]] = []
        self._waiting: list[Mapping[str, Any]] = []

    def add(self, line: Mapping[str, Any]) -> None:
        self._waiting.append(line)

    def flush(self) -> None:
        """Append what waits and let it reach the disk. Raises `RunError`."""
        if not self._waiting:
            return
        try:
            with self.path.open("a") as file:
                file.writelines(to_json(line) + "\n" for line in self._waiting)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RunError(
                f"{self.path}: cannot be written ({error.strerror}); the last checkpoint is "
                "intact: make room or give access, then continue with --resume"
            ) from error
        lines, self._waiting = self._waiting, []
        for listener in self.listeners:
            listener(lines)

    def read(self) -> list[dict[str, Any]]:
        """All whole lines; a last one cut off by a kill is left out. Raises `RunError`."""
        try:
            text = self.path.read_text()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RunError(f"{self.path}: cannot be read ({error.strerror})") from error
        try:
            lines = [json.loads(line) for line in text.split("\n")[:-1]]
        except ValueError as error:
            raise RunError(f"{self.path}: damaged ({error}); expected JSON lines") from error
        for number, line in enumerate(lines, 1):
            if not isinstance(line, dict) or not isinstance(line.get("iteration"), int):
                raise RunError(f"{self.path}: line {number} is damaged: it has no iteration")
        return lines

    def truncate(self, iteration: int) -> None:
        """Drop lines measured after an iteration."""
        kept = [line for line in self.read() if line["iteration"] <= iteration]
        text = "".join(to_json(line) + "\n" for line in kept)
        checkpoints.write_atomically(self.path, text.encode())
