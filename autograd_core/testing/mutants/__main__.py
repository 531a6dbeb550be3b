"""The command `python -m autograd_core.testing.mutants`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from autograd_core.testing.mutants.in_pytest import Job, try_tests
from autograd_core.testing.mutants.laws import try_all
from autograd_core.testing.mutants.outcomes import Outcome, in_words, summary
from autograd_core.testing.mutants.tested import MutantError
from autograd_core.testing.registry import import_everything


def main(given: Sequence[str] | None = None) -> int:
    """The command: 0 where no mutant survived, 1 where one did, 2 where none could be tried."""
    ours, for_pytest = _split(sys.argv[1:] if given is None else given)
    arguments = _parser().parse_args(ours)
    start = time.perf_counter()
    try:
        outcomes = _of_users(arguments, for_pytest) if arguments.of else _of_laws(arguments)
    except MutantError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{time.perf_counter() - start:.0f} s")
    return int(any(o.became == "survived" for o in outcomes))


def _split(given: Sequence[str]) -> tuple[list[str], list[str]]:
    """What comes before and after the first "--"."""
    end = list(given).index("--") if "--" in given else len(given)
    return list(given[:end]), list(given[end + 1 :])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m autograd_core.testing.mutants",
        description="Break derivative rules one at a time, and show which broken ones the "
        "engine's laws, or with --of your own tests, do not notice.",
        epilog="Exits with 0 where no mutant survived, 1 where one did, 2 where none was tried.",
    )
    parser.add_argument("names", nargs="*", help="primitives to try the laws on (all by default)")
    parser.add_argument("--jobs", type=int, default=2, help="how many processes (2 by default)")
    yours = parser.add_argument_group("mutants of a primitive or custom function of yours")
    yours.add_argument("--of", metavar="MODULE:NAME", help="what to break: my_package.ops:softsign")
    yours.add_argument(
        "--tests",
        nargs="+",
        action="extend",
        default=[],
        metavar="TEST",
        help="files, folders or tests for pytest; its options may follow after --",
    )
    kinds = yours.add_mutually_exclusive_group()
    kinds.add_argument(
        "--all",
        action="store_true",
        help="break dtypes, third derivatives, and a primitive's batching, shape and kernel too",
    )
    kinds.add_argument("--kinds", nargs="+", metavar="KIND", help="the only kinds to try")
    return parser


def _of_laws(arguments: argparse.Namespace) -> list[Outcome]:
    """Try all mutants of all primitives, or of those named."""
    if arguments.tests or arguments.all or arguments.kinds:
        raise MutantError("--tests, --all and --kinds need --of MODULE:NAME")
    unknown = sorted(set(arguments.names) - set(import_everything()))
    if unknown:
        raise MutantError(f"no such primitive: {', '.join(unknown)}")
    outcomes = try_all(arguments.names or import_everything(), arguments.jobs)
    print(summary(outcomes))
    return outcomes


def _of_users(arguments: argparse.Namespace, for_pytest: list[str]) -> list[Outcome]:
    """Try a user's tests on the mutants of what the user names."""
    if arguments.names:
        raise MutantError(f"either names of primitives ({arguments.names[0]}) or --of, not both")
    if not arguments.tests:
        raise MutantError("--of needs --tests: what should notice the mutants?")
    kinds = "all" if arguments.all else arguments.kinds
    job = Job(arguments.of, kinds, [*arguments.tests, *for_pytest])
    outcomes = try_tests(job, arguments.jobs)
    print(in_words(outcomes))
    return outcomes


if __name__ == "__main__":
    sys.exit(main())
