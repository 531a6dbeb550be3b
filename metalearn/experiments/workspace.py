"""Where an experiment works: its folder, with the runs it trains and a file for each cell.

    FOLDER/experiment.json      the settings that its cells were computed with
    FOLDER/cells/ARM-SEED.json  what was measured, written when a cell is done
    FOLDER/runs/NAME/           runs, each as `metalearn train` makes it

So whatever is interrupted goes on where it stood when the same command is given again.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from metalearn.catalogue import IMAGES, WITH_FILES, parts_of
from metalearn.config import Config, algorithm_of, make_config
from metalearn.console import PlainDisplay
from metalearn.errors import Interrupted, OptionError, RunError
from metalearn.evaluation import Interval, intervals, scores_at_steps
from metalearn.problems import Problem, open_problem, suited
from metalearn.runs import create_run, open_run, write_json
from metalearn.trained import Trained, load_trained
from metalearn.training import Trainer

QUERIES = 15  # a class, in tests


def places_of(text: str | None) -> dict[str, str]:
    """Where datasets lie, of "omniglot=PATH,fashion-mnist=PATH"; a path alone is Omniglot's.

    Raises `OptionError` for a name that is not that of a dataset with files."""
    found = {}
    for part in (text or "").split(",") if text is not None else ():
        name, equals, path = part.partition("=")
        if not equals:
            name, path = "omniglot", part
        if name not in WITH_FILES or not path:
            raise OptionError(
                f"--data {part}: expected NAME=PATH with a name of {', '.join(WITH_FILES)}"
            )
        found[name] = path
    return found


class Workspace:
    """An experiment's folder, and what its cells need: data, training, a display.

    `places` says where datasets lie, by name. `stop` is asked between two meta-updates.
    """

    def __init__(
        self,
        folder: Path,
        display: PlainDisplay,
        stop: Callable[[], bool] = lambda: False,
        places: Mapping[str, str] | None = None,
        device: str = "auto",
    ):
        self.folder, self.display, self.stop = folder, display, stop
        self.places, self.device = dict(places or {}), device

    # Records ----------------------------------------------------------------------------------

    def begin(self, record: Mapping[str, Any]) -> None:
        """Note what is computed here. Raises `RunError` where that was something else."""
        path = self.folder / "experiment.json"
        known = self.read(path)
        if known is None:
            self._make(path.parent)
            write_json(path, record)
        elif known != json.loads(json.dumps(record)):
            raise RunError(
                f"{self.folder}: holds cells of other settings than this version's; choose another "
                "--out, or remove it"
            )

    def cell(self, name: str, compute: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """A cell's record: read where it is there, else computed, and kept."""
        known = self.known(name)
        if known is not None:
            return known
        path = self._path_of(name)
        self._make(path.parent)
        write_json(path, compute())
        return self.read(path)

    def known(self, name: str) -> Mapping[str, Any] | None:
        """A cell's record, where it is there."""
        return self.read(self._path_of(name))

    def _path_of(self, name: str) -> Path:
        return self.folder / "cells" / f"{name}.json"

    def file(self, name: str, write: Callable[[Path], Any]) -> Path:
        """The path of a file of data, written where it is not there yet."""
        path = self.folder / name
        if not path.exists():
            self._make(path.parent)
            write(path)
        return path

    def read(self, path: Path) -> Any:
        """A JSON file; None where there is none. Raises `RunError` for one that is damaged."""
        try:
            return json.loads(path.read_text())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RunError(f"{path}: cannot be read ({error.strerror})") from error
        except ValueError as error:
            raise RunError(f"{path}: damaged ({error}); remove it, to compute it again") from error

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{folder}: cannot be made ({error.strerror})") from error

    # Training ---------------------------------------------------------------------------------

    def config(self, dataset: str, **options: Any) -> Config:
        """A configuration, as of `metalearn train` with these options, on this device."""
        return make_config(dataset, self._given(dataset, options))

    def _given(self, dataset: str, options: Mapping[str, Any]) -> dict[str, Any]:
        return {"device": self.device, "data": self.data_of(dataset), **options}

    def data_of(self, dataset: str) -> str | None:
        """Where the datasets that a name joins lie; None where nothing is known of that."""
        if any(name not in IMAGES for name in dataset.split("+")):
            return None
        found = {name: self.places[name] for name in parts_of(dataset) if name in self.places}
        if dataset in found:
            return found[dataset]
        return ",".join(f"{name}={path}" for name, path in found.items()) or None

    def trained(self, name: str, dataset: str, **options: Any) -> tuple[Trained, Problem]:
        """The best parameters of a run of that name, trained to its end first, and its problem.

        Raises `Interrupted` when told to stop, and what training raises.
        """
        config = self.config(dataset, **options)
        problem = open_problem(config, self.display.working)
        config = suited(dataset, self._given(dataset, options), problem)
        path = self.folder / "runs" / name
        if (path / "config.json").exists():
            run = open_run(path)
            same = replace(run.config, device=config.device, data=config.data)
            if same != config:
                raise RunError(f"{path}: trained with other options; remove it, to train it again")
            run.check_data(problem)
        else:
            run = create_run(path, config, problem, algorithm_of(config).order)
        self.display.measure = config.measure
        with run.locked():
            if not Trainer(run, problem, self.display).train(self.stop):
                raise Interrupted(f"{path}: stopped and saved")
        return load_trained(run), problem

    def score(
        self,
        trained: Trained,
        problem: Problem,
        episodes: int,
        shots: int | None = None,
        mode: str | None = None,
    ) -> Interval:
        """The mean over test episodes after the last inner step, with the interval over them; of
        `shots` and a batch norm `mode` other than those of training, where given."""
        self.check()
        config, learner = trained.run.config, trained.learner
        found = scores_at_steps(
            trained.algorithm,
            learner if mode is None else replace(learner, mode=mode),
            trained.params,
            problem.sampler("test", shots or config.shots, QUERIES, 0),
            episodes,
            [config.eval_steps],
            lambda done, total: self.display.working("testing", done, total),
            config.jit,
        )
        (interval,) = intervals(found)
        return interval

    def check(self) -> None:
        """Raise `Interrupted` when told to stop."""
        if self.stop():
            raise Interrupted("stopped; what is done is kept")
