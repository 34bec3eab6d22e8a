"""The hardware of this computer: what the application can see, and what the engine can.

Processor and memory are asked of the operating system. GPUs are asked of PyTorch, in a short
process of the engine environment: whether a GPU is of use depends on the PyTorch there.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import SetupError
from ..jobs import EngineCommand, processes
from ..jobs.memory import memory
from .engine import EngineEnvironment
from .paths import import_folder

_PROBE = "TotalSegmentatorLib.engines.hardware"
_FACTS = {"torch", "built_for", "architectures", "gpus", "mps"}


@dataclass(frozen=True)
class Device:
    """Something that networks can run on.

    :param id: as in ``Request.device``: ``gpu:N``, ``mps`` or ``cpu``.
    :param title: name for people, e.g. ``NVIDIA A100``.
    :param total_bytes: its memory.
    :param free_bytes: what of it is free now.
    :param compute_capability: what an NVIDIA GPU understands, e.g. ``8.6``; empty for others.
    """

    id: str
    title: str
    total_bytes: int
    free_bytes: int
    compute_capability: str = ""

    @property
    def kind(self) -> str:
        """``cpu``, ``gpu`` or ``mps``."""
        return self.id.partition(":")[0]


@dataclass(frozen=True)
class Hardware:
    """What a run can use on this computer.

    :param cores: processor cores that this process may use.
    :param memory_bytes: main memory.
    :param free_bytes: what of it can be used without swapping.
    :param devices: GPUs first, the processor last.
    :param torch: version of the engine's PyTorch; empty if it was not asked.
    :param torch_for: the kind of GPU that it was built for, e.g. ``CUDA 13.0`` or ``ROCm 7.2``;
        empty if for none, or if it was not asked.
    :param architectures: the GPUs that it was built for, e.g. ``sm_86``, if it can use any.
    """

    cores: int
    memory_bytes: int
    free_bytes: int
    devices: tuple[Device, ...]
    torch: str = ""
    torch_for: str = ""
    architectures: tuple[str, ...] = ()

    def device(self, name: str = "auto") -> Device:
        """The device that a request's name means here.

        :param name: ``auto``, ``cpu``, ``gpu``, ``gpu:N`` or ``mps``.
        :raises SetupError: ``gpu.not_found``.
        """
        wanted = "gpu:0" if name == "gpu" else name
        for device in self.devices:
            if wanted in ("auto", device.id):
                return device
        what = "An Apple GPU" if name == "mps" else "A GPU" if name == "gpu" else name.upper()
        raise SetupError(
            "gpu.not_found",
            f"{what} was asked for, but PyTorch finds none such on this computer.",
            "Use the device auto or cpu, or install a driver and a PyTorch that fit the GPU.",
        )


def this_computer() -> Hardware:
    """Processor and memory, known at once; whether there is a GPU is not looked at."""
    cores = usable_cores()
    total, free = memory()
    title = f"Processor with {cores} core{'' if cores == 1 else 's'}"
    return Hardware(cores, total, free, (Device("cpu", title, total, free),))


def probe(engine: EngineEnvironment, timeout_s: float = 60.0) -> Hardware:
    """Processor, memory and the GPUs that the engine can use.

    It takes seconds, as PyTorch is started for it: for the thread of a job.

    :raises SetupError: ``environment.no_interpreter``; ``environment.broken`` if PyTorch fails,
        ``environment.no_answer`` if it takes longer than the time given.
    """
    computer = this_computer()
    found = _ask(engine.command(module=_PROBE), timeout_s)
    gpus = [_gpu(number, values) for number, values in enumerate(found["gpus"])]
    if found["mps"]:
        total = int(found["mps"]["total_bytes"])
        gpus.append(Device("mps", "Apple GPU", total, min(total, computer.free_bytes)))
    return replace(
        computer,
        devices=(*gpus, *computer.devices),
        torch=str(found["torch"]),
        torch_for=str(found["built_for"]),
        architectures=tuple(found["architectures"]),
    )


def _gpu(number: int, values: Mapping[str, Any]) -> Device:
    return Device(
        f"gpu:{number}",
        str(values["title"]),
        int(values["total_bytes"]),
        int(values["free_bytes"]),
        str(values["compute_capability"]),
    )


def _ask(command: EngineCommand, timeout_s: float) -> Mapping[str, Any]:
    """The facts that the engine's process prints; nothing of it is left behind."""
    with command.start(import_folder()) as process:
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise SetupError(
                "environment.no_answer",
                f"The engine's PyTorch did not start within {timeout_s:.0f} seconds.",
                "Try again; if it happens again, run the setup again or restart the computer.",
            ) from None
        finally:
            processes.kill_tree(process)
    facts = _facts(out.decode("utf-8", "replace"))
    if process.returncode or facts is None:
        raise SetupError(
            "environment.broken",
            "The engine's PyTorch does not start on this computer.",
            "Run the setup again.",
            err.decode("utf-8", "replace"),
        )
    return facts


def _facts(text: str) -> Mapping[str, Any] | None:
    """The JSON line among those that libraries may print."""
    for line in text.splitlines():
        try:
            values = json.loads(line)
        except ValueError:
            continue
        if isinstance(values, dict) and set(values) >= _FACTS:
            return values
    return None


def usable_cores() -> int:
    """Processor cores that this process may use, at least one."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1
