"""What this GPU can do at most: products in float32 and TensorFloat-32, bytes read and written, and
launches of a captured graph that wait for each other, as a line of JSON.

python -m benchmarks.gpu_rates
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import cupy as cp

from benchmarks.common import run_child


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


def product_rate() -> float:
    """Operations a second in a large product."""
    a = cp.random.default_rng(0).standard_normal((8192, 8192), "f4")
    out = cp.empty_like(a)
    return 2 * 8192**3 / best(lambda: cp.matmul(a, a, out=out))


def copy_rate() -> float:
    """Bytes a second, those read and those written."""
    long = cp.random.default_rng(0).random(2**28, "f4")
    copy = cp.empty_like(long)
    return 2 * long.nbytes / best(lambda: cp.copyto(copy, long))


def launch_seconds(count: int = 1000) -> float:
    """From one small kernel to the next in a captured graph."""
    x, stream = cp.zeros(32, "f4"), cp.cuda.Stream(non_blocking=True)
    add = cp.RawKernel('extern "C" __global__ void add(float* x) { x[threadIdx.x] += 1; }', "add")
    add((1,), (32,), (x,))
    stream.begin_capture()
    with stream:
        for _ in range(count):
            add((1,), (32,), (x,))
    graph = stream.end_capture()
    return best(lambda: graph.launch(cp.cuda.get_current_stream())) / count


def main() -> int:
    if "--tf32" in sys.argv:
        print(json.dumps({"tf32": product_rate()}))
        return 0
    name = cp.cuda.runtime.getDeviceProperties(0)["name"].decode()
    found = {"name": name, "flops": product_rate(), "bytes": copy_rate()}
    tf32 = run_child("benchmarks.gpu_rates", "--tf32", settings={"CUPY_TF32": "1"})
    print(json.dumps({**found, **tf32, "launch_s": launch_seconds()}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
