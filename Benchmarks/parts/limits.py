"""What this computer can do at best: arithmetic and memory. Run with the engine's Python.

Prints GFLOP/s of a large product of single-precision matrices, and GB/s of copying (what is read
and what is written together), both with all cores.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

import torch

_EDGE = 4096
_BYTES = 1 << 30
_REPEATS = 5


def main() -> None:
    """Measure both."""
    torch.set_num_threads(os.cpu_count() or 1)
    one, other, product = (torch.ones(_EDGE, _EDGE) for _ in range(3))
    source, target = torch.ones(_BYTES, dtype=torch.uint8), torch.zeros(_BYTES, dtype=torch.uint8)
    gflops = 2 * _EDGE**3 / 1e9 / _least(lambda: torch.mm(one, other, out=product))
    gbytes = 2 * _BYTES / 1e9 / _least(lambda: target.copy_(source))
    print(json.dumps({"gflops": round(gflops), "gb_s": round(gbytes, 1)}))


def _least(work: Callable[[], object]) -> float:
    """Seconds of the fastest of some runs."""
    seconds = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


if __name__ == "__main__":
    main()
