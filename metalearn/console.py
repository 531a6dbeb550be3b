"""What the command line shows at work: a live display in a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

import autograd_core as ac
from metalearn.errors import printable
from metalearn.evaluation import Interval
from metalearn.learner import Measure
from metalearn.training import Status

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_UPDATES = 0.1  # of a live display


class Display(Protocol):
    """Shows how work goes; a context manager. It is also a `training.Watcher`."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def working(self, what: str, done: int, total: int) -> None:
        """Some of a piece of work is done."""

    def line(self, text: str) -> None:
        """A line that stays."""

    def status(self, status: Status) -> None: ...
    def validating(self, done: int, total: int) -> None: ...
    def validated(self, status: Status, score: Interval, best: bool) -> None: ...
    def compiled(self, program: ac.Explanation) -> None: ...


def open_display(measure: Measure, to_stderr: bool = False) -> "PlainDisplay":
    """A display on standard output, or on standard error where that is for results."""
    console = Console(stderr=to_stderr, highlight=False, soft_wrap=True)
    make = LiveDisplay if console.is_terminal else PlainDisplay
    return make(console, measure)


class PlainDisplay:
    """A line every few seconds, and one for each validation."""

    pause = SECONDS_BETWEEN_LINES

    def __init__(self, console: Console, measure: Measure):
        self.console, self.measure = console, measure
        self._shown = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: Any) -> None:
        sys.stdout.flush()

    def working(self, what: str, done: int, total: int) -> None:
        if self._due():
            share = f" of {total:,}" if total else ""
            self.line(f"{what}: {done:,}{share}")

    def line(self, text: str) -> None:
        self.console.print(printable(text), markup=False, emoji=False)

    def status(self, status: Status) -> None:
        if self._due():
            self.line(status_text(status, self.measure))

    def validating(self, done: int, total: int) -> None:
        pass

    def validated(self, status: Status, score: Interval, best: bool) -> None:
        self._shown = time.monotonic()
        self.line(validation_text(status, self.measure, score, best))

    def compiled(self, program: ac.Explanation) -> None:
        self.line(
            f"a meta-update is {len(program.steps):,} compiled steps, "
            f"{program.flops / 1e9:.3g} GFLOP; {program.memory / 1e6:,.0f} MB beside the tasks"
        )

    def _due(self) -> bool:
        now = time.monotonic()
        if now - self._shown < self.pause:
            return False
        self._shown = now
        return True


class LiveDisplay(PlainDisplay):
    """A progress bar with what is known beside it; validations stay as lines above it."""

    pause = SECONDS_BETWEEN_UPDATES

    def __init__(self, console: Console, measure: Measure):
        super().__init__(console, measure)
        columns = (BarColumn(bar_width=24), TextColumn("{task.description}"))
        self._progress = Progress(*columns, console=console, transient=True)
        self._bar: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_error: Any) -> None:
        self._progress.stop()

    def _show(self, text: str, done: float, total: float | None) -> None:
        if not self._due():
            return
        if self._bar is None:
            self._bar = self._progress.add_task(text, total=total)
        self._progress.update(self._bar, description=text, completed=done, total=total)

    def working(self, what: str, done: int, total: int) -> None:
        share = f" of {total:,}" if total else ""
        self._show(f"{what}: {done:,}{share}", done, total or None)

    def status(self, status: Status) -> None:
        self._show(status_text(status, self.measure), status.fraction, 1.0)

    def validating(self, done: int, total: int) -> None:
        self._show(f"validating: {done} of {total} episodes", done, total)


def status_text(status: Status, measure: Measure) -> str:
    """One line on how training stands."""
    return (
        f"iteration {status.iteration:,} ({100 * min(status.fraction, 1.0):.0f} %)  "
        f"{status.per_second:.1f} it/s  {duration(status.seconds_left)} left  "
        f"loss {status.loss:.3g}  {measure.name} {measure.text(status.score)}"
    )


def validation_text(status: Status, measure: Measure, score: Interval, best: bool) -> str:
    """One line on a validation."""
    return (
        f"iteration {status.iteration:,} ({100 * min(status.fraction, 1.0):.0f} %, "
        f"{duration(status.seconds)})  validation {measure.name} {measure.text(score.mean)} "
        f"± {measure.text(score.half_width)}{'  best so far' if best else ''}"
    )


def duration(seconds: float) -> str:
    """Such as "45 s", "12 min 30 s" or "1 h 5 min"."""
    if seconds == float("inf"):
        return "unknown time"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
