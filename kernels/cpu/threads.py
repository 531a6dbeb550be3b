"""Split a loop over threads.

Numba's own threading is not used: its OpenMP threads keep spinning after a loop, which slows the
BLAS products that follow by an order of magnitude; they also die in forked processes, and its
other portable layer aborts when two Python threads call it. Kernels that release the GIL need
no more than a thread pool.
"""

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def split(total: int, grain: int, run: Callable[[int, int], None]) -> None:
    """Call ``run(start, stop)`` on ranges that together cover ``range(total)``.

    ``run`` must release the GIL to gain anything, and must not call ``split`` itself.

    Args:
        total: length of the loop.
        grain: the least number of iterations that are worth a thread.
        run: does the iterations from ``start`` to ``stop``.
    """
    parts = min(thread_count(), total // max(grain, 1))
    if parts <= 1:
        run(0, total)
        return
    bounds = [total * part // parts for part in range(parts + 1)]
    others = [_pool().submit(run, *bounds[part : part + 2]) for part in range(1, parts)]
    run(bounds[0], bounds[1])
    for other in others:
        other.result()


def share(parts: int, run: Callable[[int], None]) -> None:
    """Call ``run(part)`` for each part, on a thread of its own.

    Args:
        parts: no more than there are threads.
        run: must release the GIL to gain anything.
    """
    others = [_pool().submit(run, part) for part in range(1, parts)]
    run(0)
    for other in others:
        other.result()


@functools.cache
def thread_count() -> int:
    """``METAGRAD_NUM_THREADS``, or else the number of cores that this process may use."""
    wanted = os.environ.get("METAGRAD_NUM_THREADS")
    if wanted is not None:
        return max(1, int(wanted))
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, thread_count() - 1), thread_name_prefix="kernels")


# A forked process inherits the pool but not its threads: it has to start its own.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)
