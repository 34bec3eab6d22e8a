"""Ways to run a network on a GPU: windows at once, memory layout, CUDA graph, compiled.

The network is one of a task's, of the true architecture and with random values. For each way:
milliseconds per window, most memory beside what the engine reckons with, and the share of voxels
with the label of the first way. With `--device cpu --windows 1` it shows that it runs.

    .venv/bin/python Benchmarks/gpu_network.py --device cuda
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

if importlib.util.find_spec("torch") is None:  # the application's Python
    from parts.works import ENGINE_PYTHON

    command = [str(ENGINE_PYTHON), *sys.argv]
    sys.exit(subprocess.run(command, check=False).returncode)

import torch

ROOT = Path(__file__).resolve().parents[1]
for folder in ("TotalSegmentator", "Testing/SampleData"):
    sys.path.insert(0, str(ROOT / folder))

from made_plans import heads, make_dataset, make_plans  # noqa: E402
from made_weights import FULL_FEATURES, labels_of, make_network, true_kind  # noqa: E402

from TotalSegmentatorLib import catalog  # noqa: E402
from TotalSegmentatorLib.engines.gpu import half_precision  # noqa: E402
from TotalSegmentatorLib.engines.nnunet.gpu import window_bytes  # noqa: E402
from TotalSegmentatorLib.engines.nnunet.network import Network  # noqa: E402
from TotalSegmentatorLib.engines.nnunet.plans import read_plans  # noqa: E402

Forward = Callable[[torch.Tensor], torch.Tensor]
_REPEATS = 10


def main() -> None:
    """Measure all ways and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", help="cuda (default), mps or cpu")
    parser.add_argument("--speed", default="normal", help="of the task total: its first model")
    parser.add_argument("--patch", type=int, default=0, help="edge of a window; 0: the true one")
    parser.add_argument("--windows", type=int, nargs="+", default=(1, 2, 4), help="at once")
    options = parser.parse_args()
    device = torch.device(options.device)
    network = made_network(options.speed, options.patch, device)
    volume = torch.randn((max(options.windows), 1, *network.plans.patch), device=device)
    ways: dict[str, Callable[[Network, torch.Tensor], Forward]] = {
        "plain": plain,
        "channels last": channels_last,
        "compiled": compiled,
    }
    if device.type == "cuda":
        ways["CUDA graph"] = cuda_graph
    print("| way | windows | ms per window | GiB | reckoned GiB | same labels |")
    print("|---|---:|---:|---:|---:|---:|")
    first: torch.Tensor | None = None
    for way, prepare in ways.items():
        for count in options.windows:
            windows = volume[:count].contiguous()
            with torch.inference_mode(), half_precision(device):
                forward = prepare(network, windows)
                labels = forward(windows)[0].argmax(0)
                milliseconds, gib = measured(forward, windows)
            first = labels if first is None else first
            same = float((labels == first).float().mean())
            reckoned = count * window_bytes(network.plans) / 2**30
            figures = f"{milliseconds / count:.1f} | {gib:.2f} | {reckoned:.2f} | {same:.6f}"
            print(f"| {way} | {count} | {figures} |", flush=True)
            network.module.to(memory_format=torch.contiguous_format)


def made_network(speed: str, patch: int, device: torch.device) -> Network:
    """A network of the task total with random values."""
    model = catalog.task("total").own_models(speed, ())[0]
    kind = true_kind(model, FULL_FEATURES, patch)
    plans, labels = make_plans(model, kind), labels_of(model)
    module = make_network(plans, model.configuration, heads(labels, kind)).requires_grad_(False)
    known = read_plans(plans, make_dataset(labels, kind), model.configuration)
    return Network(module, known, device)


def plain(network: Network, windows: torch.Tensor) -> Forward:
    """As the engine does it."""
    return lambda windows: network.head(network.features(windows))


def channels_last(network: Network, windows: torch.Tensor) -> Forward:
    """With the channels of a voxel side by side."""
    network.module.to(memory_format=torch.channels_last_3d)
    forward = plain(network, windows)
    return lambda windows: forward(windows.to(memory_format=torch.channels_last_3d))


def compiled(network: Network, windows: torch.Tensor) -> Forward:
    """By torch.compile, for this one shape."""
    return torch.compile(plain(network, windows), dynamic=False)


def cuda_graph(network: Network, windows: torch.Tensor) -> Forward:
    """Recorded once and replayed, without Python between the kernels."""
    forward = plain(network, windows)
    forward(windows)  # cuDNN chooses its algorithms before the recording
    torch.cuda.synchronize()
    graph, source = torch.cuda.CUDAGraph(), windows.clone()
    with torch.cuda.graph(graph):
        result = forward(source)

    def replay(windows: torch.Tensor) -> torch.Tensor:
        source.copy_(windows)
        graph.replay()
        return result

    return replay


def measured(forward: Forward, windows: torch.Tensor) -> tuple[float, float]:
    """Milliseconds (median), and GiB beyond what was taken before (0 where it is not known)."""
    cuda = windows.device.type == "cuda"
    before = torch.cuda.memory_allocated() if cuda else 0
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(_REPEATS if windows.device.type != "cpu" else 1):
        began = time.perf_counter()
        forward(windows)[0, 0, 0, 0, 0].item()  # waits for the GPU
        seconds.append(time.perf_counter() - began)
    most = torch.cuda.max_memory_allocated() if cuda else 0
    return statistics.median(seconds) * 1000, (most - before) / 2**30


if __name__ == "__main__":
    main()
