"""What this GPU can do at most: float32 products, and bytes read and written, as a line of JSON.

python -m benchmarks.gpu_rates
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import cupy as cp


def best(run: Callable[[], object], seconds: float = 0.5) -> float:
    """Seconds of the fastest call."""
    run()
    found, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        cp.cuda.Device().synchronize()
        start = time.perf_counter()
        run()
        cp.cuda.Device().synchronize()
        found = min(found, time.perf_counter() - start)
    return found


def main() -> int:
    a, long = cp.ones((8192, 8192), "f4"), cp.ones(2**28, "f4")
    out, copy = cp.empty_like(a), cp.empty_like(long)
    name = cp.cuda.runtime.getDeviceProperties(0)["name"].decode()
    flops = 2 * 8192**3 / best(lambda: cp.matmul(a, a, out=out))
    moved = 2 * long.nbytes / best(lambda: cp.copyto(copy, long))
    print(json.dumps({"name": name, "flops": flops, "bytes": moved}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
