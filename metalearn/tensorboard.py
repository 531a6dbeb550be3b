"""Metrics and pictures of a run for TensorBoard, as event files in RUN/tensorboard.

They are made of metrics.jsonl and nothing else: all of it anew when a session of training starts,
then line by line as it is written. So they hold what the metrics hold, however a session ended.
"""

import importlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image

from metalearn.errors import OptionError
from metalearn.runs import Run

EVENTS = "events.out.tfevents.*"
PACKAGE = "tensorboardX"


def check_installed() -> None:
    """Raise `OptionError` where there is nothing to write event files with."""
    if importlib.util.find_spec(PACKAGE) is None:
        raise OptionError(
            "--tensorboard: needs tensorboardX, which is not installed; pip install tensorboardX, "
            "or leave it out"
        )


class Board:
    """Event files of a run; a context manager. Steps are iterations, and wall time is the time in
    training since the run was made."""

    def __init__(self, folder: Path, run: Run):
        self.folder, self.run = folder, run
        self._made = datetime.fromisoformat(run.record["created"]).timestamp()
        self._spent: dict[str, float] = {}
        self._writer: Any = None

    def __enter__(self) -> Self:
        importlib.import_module(PACKAGE)  # which takes seconds, and not of training
        return self

    def __exit__(self, *_error: Any) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Write lines of metrics, which are in their file already."""
        if self._writer is None:
            self._start()
        else:
            self._write(lines)
        self._writer.flush()

    def add_pictures(self, paths: Sequence[Path]) -> None:
        """Write PNG files, as of the last iteration there are metrics of."""
        if self._writer is None:
            self._start()
        iteration = max((line["iteration"] for line in self.run.metrics.read()), default=0)
        for path in paths:
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB"))
            self._writer.add_image(f"pictures/{path.stem}", pixels, iteration, dataformats="HWC")

    def _start(self) -> None:
        """A file with all there is, in the place of those of earlier sessions."""
        from tensorboardX import SummaryWriter

        for file in self.folder.glob(EVENTS):
            file.unlink()
        # What a TensorBoard that is running has read of them, it forgets.
        self._writer = SummaryWriter(str(self.folder), purge_step=0)
        self._write(self.run.metrics.read())

    def _write(self, lines: Sequence[Mapping[str, Any]]) -> None:
        for line in lines:
            for activity, seconds in line.get("spent", {}).items():
                self._spent[activity] = self._spent.get(activity, 0.0) + seconds
            time = self._made + line["seconds"]
            for tag, value in scalars(line, self.run.config.measure.name, self._spent):
                if value is not None and np.isfinite(value):
                    self._writer.add_scalar(tag, value, line["iteration"], walltime=time)


def scalars(
    line: Mapping[str, Any], measure: str, spent: Mapping[str, float]
) -> Iterator[tuple[str, float | None]]:
    """The numbers of a line of metrics by their tags; `spent` are the seconds up to it."""
    if "loss" in line:
        yield "train/loss", line["loss"]
        yield f"train/{measure}", line["score"]
        yield "train/meta_gradient_norm", line.get("gradient_norm")
        yield "train/meta_rate", line["rate"]
    if "validation" in line:
        yield f"validation/{measure}", line["validation"]["mean"]
    for row in line.get("scores", ()):
        yield f"validation_by_step/{measure}_after_{row['steps']}", row["mean"]
    yield from _probed(line.get("probe", {}))
    for name, rates in line.get("rates", {}).items():
        for step, rate in enumerate(rates["mean"], 1):
            yield f"learned_rates/{name}" + f"/step_{step}" * (len(rates["mean"]) > 1), rate
    for activity, seconds in spent.items():
        yield f"seconds/{activity}", seconds


def _probed(probe: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    for steps, norm in enumerate(probe.get("inner_norms", ())):
        yield f"inner_gradient_norm/after_{steps}", norm
    for name in ("meta_similarity", "inner_similarity"):
        yield f"task_gradients/{name}", probe.get(name)
