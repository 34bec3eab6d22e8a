"""How much memory of the first GPU is in use, as NVIDIA's driver tells."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_COMMAND = ("nvidia-smi", "--id=0", "--query-gpu=memory.used", "--format=csv,noheader,nounits")
_SAMPLE_MS = 50
_MB = 2**20 / 1e6


@contextmanager
def gpu_samples(device: str) -> Iterator[list[float]]:
    """Memory in use in millions of bytes, of all programs, looked at again and again in the block.

    :param device: ``gpu``; there are no samples for others.
    """
    found: list[float] = []
    if device != "gpu":
        yield found
        return

    def read() -> None:
        for line in process.stdout or ():
            found.append(float(line) * _MB)

    command = [*_COMMAND, f"--loop-ms={_SAMPLE_MS}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            process.terminate()
            thread.join()
