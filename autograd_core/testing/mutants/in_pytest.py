"""Mutants judged by pytest: each mutant meets a user's tests in a process of its own.

`try_tests` starts the processes. Each of them runs this module: it lets pytest collect the tests,
puts the mutant in place, and writes what became of it to a file. The first one runs without a
mutant, and says what there is to break.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from autograd_core.testing.mutants.custom import Place
from autograd_core.testing.mutants.made import Mutant, name_of
from autograd_core.testing.mutants.outcomes import Outcome
from autograd_core.testing.mutants.tested import (
    MutantError,
    Target,
    breakable,
    met,
    mutants_to_try,
    outcome_of,
)

LEAST_SECONDS = 30.0
SLOWER = 10.0
"""A mutant under which tests take so many times as long as without, and at least these seconds, is
taken for one that does not end."""
NOT_ENDED = "the tests did not end"
CRASHED = "the tests' process broke down"

SAID, PRINTED = "said.json", "printed.txt"
PASSED, NOTHING_COLLECTED = 0, 5  # pytest's exit codes


@dataclass(frozen=True)
class Job:
    """What a process is to do."""

    of: str
    """What to break, as MODULE:NAME."""
    kinds: Any
    pytest: Sequence[str]
    number: int | None = None
    """Which mutant to try; None to run the tests as they are."""
    places: Sequence[Sequence] = ()


def try_tests(job: Job, processes: int = 2) -> list[Outcome]:
    """Run tests once without and once with each mutant, and say what became of the mutants.

    The tests run in the current folder, as `python -m pytest` would run them there.

    Args:
        job: what to break, and how to call pytest.
        processes: how many to keep at work.

    Raises:
        MutantError: there is nothing to break, or the tests fail or do nothing without a mutant.
    """
    _module_and_name(job.of)
    if importlib.util.find_spec("pytest") is None:
        raise MutantError("pytest is not installed: pip install pytest")
    start = time.perf_counter()
    plain = _without_error(_in_a_process(job, None))
    seconds = max(LEAST_SECONDS, SLOWER * (time.perf_counter() - start))
    mutants = [Outcome(*row) for row in plain["mutants"]]
    outcomes = dict(enumerate(mutants))
    console = Console(stderr=True)
    with (
        Progress(console=console, transient=True, disable=not console.is_terminal) as progress,
        ThreadPoolExecutor(max(processes, 1)) as pool,
    ):
        shown = progress.add_task(f"mutants of {mutants[0].primitive}", total=len(mutants))
        tries = {
            pool.submit(_in_a_process, replace(job, number=i, places=plain["places"]), seconds): i
            for i in outcomes
        }
        try:
            for done in as_completed(tries):
                i = tries[done]
                outcomes[i] = replace(outcomes[i], **_without_error(done.result()))
                progress.advance(shown)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return list(outcomes.values())


def _without_error(said: dict[str, Any]) -> dict[str, Any]:
    if "error" in said:
        raise MutantError(said["error"])
    return said


def _in_a_process(job: Job, seconds: float | None) -> dict[str, Any]:
    """What a process said: what there is to break, what became of a mutant, or an error."""
    with tempfile.TemporaryDirectory() as folder:
        said, printed = Path(folder, SAID), Path(folder, PRINTED)
        command = [sys.executable, "-m", __name__, json.dumps(asdict(job)), folder]
        with printed.open("wb") as out:
            try:
                subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    timeout=seconds,
                    check=False,
                    # The failing examples of broken rules are not worth keeping.
                    env={**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": folder},
                )
            except subprocess.TimeoutExpired:
                return {"became": "caught", "why": NOT_ENDED}
        if said.exists():
            return json.loads(said.read_text())
        complaint = _last(r".*\S", printed)
    if job.number is not None:
        return {"became": "caught", "why": CRASHED}
    return {"error": f"{CRASHED} without any mutant: {complaint}"}


def _last(pattern: str, printed: Path) -> str:
    """The last match of a pattern in what a process printed."""
    found = re.findall(pattern, printed.read_text(errors="replace"))
    return found[-1].strip() if found else "it printed nothing of use"


# In the process -------------------------------------------------------------------------------


class MutantPlugin:
    """Tells pytest to break something once tests are collected, and notes what becomes of them."""

    def __init__(self, job: Job):
        self.job = job
        self.places: list[Place] = [Place(*row) for row in job.places]
        self.error: MutantError | None = None
        self.failures: list[str] = []
        self.passed = 0
        self.held = ExitStack()
        self.mutant: Mutant | None = None

    def pytest_collection_finish(self, session: Any) -> None:
        """Tests are imported now, with what they test, from where pytest was told to look."""
        try:
            self.target = resolve(self.job.of)
            if self.job.number is None:
                self.places = self.held.enter_context(met(self.target))
            else:
                self.mutant = self.mutants()[self.job.number]
                self.held.enter_context(self.mutant.applied())
        except MutantError as error:
            self.error = error
            session.items.clear()

    def mutants(self) -> list[Mutant]:
        return mutants_to_try(self.target, self.places, self.job.kinds)

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.failures.append(_reason(report))

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failures.append(_reason(report))
        self.passed += report.when == "call" and report.passed

    def pytest_sessionfinish(self) -> None:
        self.held.close()


def _reason(report: Any) -> str:
    """The test or file, and the last word of what went wrong there."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else report.longreprtext.strip().splitlines()[-1]
    first = text.splitlines()[0].removeprefix("E ").strip() if text else "failed"
    return f"{report.nodeid or 'collection'}: {first}"


def _module_and_name(of: str) -> tuple[str, str]:
    module_name, _, name = of.partition(":")
    if not (module_name and name):
        raise MutantError(f"--of takes MODULE:NAME, such as my_package.ops:softsign; got {of!r}")
    return module_name, name


def resolve(of: str) -> Target:
    """What MODULE:NAME names, if it can be broken.

    Raises:
        MutantError: there is no such thing, or nothing in it to break.
    """
    module_name, name = _module_and_name(of)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise MutantError(f"cannot import {module_name}: {error}") from error
    try:
        return breakable(attrgetter(name)(module))
    except AttributeError:
        raise MutantError(f"{module_name} has no {name!r}") from None


def run(job: Job, folder: Path) -> dict[str, Any]:
    """Run the tests, with the job's mutant if it has one, and say what became of it."""
    import pytest

    if not {"", os.getcwd()} & set(sys.path):
        sys.path.insert(0, os.getcwd())
    plugin = MutantPlugin(job)
    code = int(pytest.main([*job.pytest, *_options(folder)], plugins=[plugin]))
    try:
        if plugin.error is not None:
            raise plugin.error
        if plugin.mutant is not None:
            outcome = outcome_of(plugin.mutant, noticed=code != PASSED)
            return {"became": outcome.became, "why": outcome.why}
        _require_passed(plugin, code, folder)
        rows = [(name_of(m.target), m.slot, m.kind, "") for m in plugin.mutants()]
    except MutantError as error:
        return {"error": str(error)}
    return {"mutants": rows, "places": plugin.places}


def _options(folder: Path) -> list[str]:
    """Stop at the first failure, in this process, and leave nothing behind."""
    options = ["-x", "-q", "-o", f"cache_dir={folder}"]
    if importlib.util.find_spec("xdist"):
        options += ["-n", "0"]  # the plugin stays: a project's options may be about it
    if importlib.util.find_spec("pytest_cov"):
        options.append("--no-cov")
    return options


def _require_passed(plugin: MutantPlugin, code: int, folder: Path) -> None:
    tests = " ".join(plugin.job.pytest)
    if plugin.failures:
        raise MutantError(f"the tests fail without any mutant: {plugin.failures[0]}")
    if code == NOTHING_COLLECTED:
        raise MutantError(f"no tests were collected from {tests}")
    if code != PASSED:
        sys.stdout.flush()
        said = _last(r"(?i)error: (.*)", folder / PRINTED)
        raise MutantError(f"pytest {tests} ended with code {code}: {said}")
    if not plugin.passed:
        raise MutantError(f"no test of {tests} passes: all are skipped, or expected to fail")


def main() -> None:
    job, folder = Job(**json.loads(sys.argv[1])), Path(sys.argv[2])
    said = run(job, folder)
    (folder / SAID).write_text(json.dumps(said))


if __name__ == "__main__":
    main()
