"""Which GPU driver is there, asked without PyTorch: that is not installed yet."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..jobs import processes
from .paths import import_folder

NVIDIA, AMD, APPLE, NONE = "nvidia", "amd", "apple", "none"
_TIMEOUT_S = 10.0
_NVIDIA_FIELDS = "name,driver_version,compute_cap,memory.total,memory.free"


@dataclass(frozen=True)
class Gpu:
    """A GPU as its driver describes it.

    :param title: name for people.
    :param compute_capability: NVIDIA's, e.g. ``8.6``; AMD's architecture, e.g. ``gfx1100``; may be
        empty.
    :param total_bytes: its memory; 0 if unknown.
    :param free_bytes: what of it is free now; 0 if unknown.
    """

    title: str
    compute_capability: str
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True)
class Driver:
    """The driver of this computer's GPUs.

    :param kind: ``nvidia``, ``amd``, ``apple`` or ``none``.
    :param version: empty if unknown.
    :param gpus: empty if the driver does not answer.
    """

    kind: str
    version: str = ""
    gpus: tuple[Gpu, ...] = ()


def find_driver(variables: Mapping[str, str] | None = None) -> Driver:
    """The GPU driver; at most some seconds, and never an exception.

    :param variables: environment variables to start from; those of this process by default.
    """
    if sys.platform == "darwin":
        arm = platform.machine() == "arm64"
        return Driver(APPLE, platform.mac_ver()[0]) if arm else Driver(NONE)
    environment = os.environ if variables is None else variables
    nvidia = _program("nvidia-smi", environment, _nvidia_places(environment))
    if nvidia:
        query = [f"--query-gpu={_NVIDIA_FIELDS}", "--format=csv,noheader,nounits"]
        return read_nvidia(_answer([nvidia, *query], variables))
    rocm = _program("rocminfo", environment, ["/opt/rocm/bin"])
    if rocm and sys.platform == "linux":
        return read_rocm(_answer([rocm], variables))
    return Driver(NONE)


def read_nvidia(text: str) -> Driver:
    """What ``nvidia-smi`` prints: a line per GPU with name, driver, capability, MiB, MiB."""
    version, gpus = "", []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == 5 and re.fullmatch(r"[\d.]+", parts[1]):
            version = parts[1]
            capability = parts[2] if re.fullmatch(r"\d+\.\d+", parts[2]) else ""
            gpus.append(Gpu(parts[0], capability, _mebibytes(parts[3]), _mebibytes(parts[4])))
    return Driver(NVIDIA, version, tuple(gpus))


def read_rocm(text: str) -> Driver:
    """What ``rocminfo`` prints: a block per processor, GPUs among them."""
    gpus = []
    for block in re.split(r"\nAgent \d+", text):
        if re.search(r"Device Type:\s*GPU", block):
            title = re.search(r"Marketing Name:\s*(.*\S)", block)
            name = re.search(r"\n\s*Name:\s*(gfx\w+)", block)
            gpus.append(Gpu(title[1] if title else "AMD GPU", name[1] if name else "", 0, 0))
    version = re.search(r"Runtime Version:\s*([\d.]+)", text)
    return Driver(AMD, version[1] if version else "", tuple(gpus))


def _program(name: str, variables: Mapping[str, str], places: Sequence[str]) -> str:
    """The path of a driver's program, which need not be on the search path; empty if none."""
    path = os.pathsep.join([variables.get("PATH", ""), *places])
    return shutil.which(name, path=path) or ""


def _nvidia_places(variables: Mapping[str, str]) -> list[str]:
    if sys.platform != "win32":
        return ["/usr/lib/wsl/lib"]
    system = Path(variables.get("SystemRoot", r"C:\Windows")) / "System32"
    programs = Path(variables.get("ProgramFiles", r"C:\Program Files"))
    return [str(system), str(programs / "NVIDIA Corporation" / "NVSMI")]


def _answer(command: Sequence[str], variables: Mapping[str, str] | None) -> str:
    """What a program prints; empty if it fails or hangs."""
    try:
        process = processes.start(command, processes.clean_variables(variables), import_folder())
    except OSError:
        return ""
    with process:
        try:
            out, _ = process.communicate(timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return ""
        finally:
            processes.kill_tree(process)
    return out.decode("utf-8", "replace") if process.returncode == 0 else ""


def _mebibytes(text: str) -> int:
    return int(text) << 20 if text.isdigit() else 0
