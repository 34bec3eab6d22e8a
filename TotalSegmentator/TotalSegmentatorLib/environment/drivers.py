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
# The drivers of some years ago do not know the last one.
_NVIDIA_FIELDS = ("name", "driver_version", "memory.total", "memory.free", "compute_cap")
# What the wheels of the locked packages need.
_OLDEST_MACOS, _OLDEST_GLIBC = 14, (2, 28)


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
        return _ask_nvidia(nvidia, variables)
    rocm = _program("rocminfo", environment, ["/opt/rocm/bin"])
    if rocm and sys.platform == "linux":
        return read_rocm(_answer([rocm], variables) or "")
    return Driver(NONE)


def system_hindrance() -> str:
    """Why no engine runs on this system, a sentence; empty if one does."""
    if sys.platform == "darwin":
        found = platform.mac_ver()[0]
        if found and int(found.partition(".")[0]) < _OLDEST_MACOS:
            return f"This is macOS {found}; the engine needs macOS {_OLDEST_MACOS} or later."
    if sys.platform == "linux":
        name, found = platform.libc_ver()
        needed = ".".join(map(str, _OLDEST_GLIBC))
        if name != "glibc":
            return f"This Linux has no GNU C library; the engine needs glibc {needed} or later."
        if tuple(int(part) for part in found.split(".")[:2]) < _OLDEST_GLIBC:
            return f"This Linux has glibc {found}; the engine needs glibc {needed} or later."
    return ""


def _ask_nvidia(program: str, variables: Mapping[str, str] | None) -> Driver:
    found = Driver(NVIDIA)
    for fields in (_NVIDIA_FIELDS, _NVIDIA_FIELDS[:-1]):
        query = [f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
        text = _answer([program, *query], variables)
        if text is None:
            break
        found = read_nvidia(text)
        if found.gpus:
            break
    return found


def read_nvidia(text: str) -> Driver:
    """What ``nvidia-smi`` prints: a line per GPU with name, driver, MiB, MiB and capability."""
    version, gpus = "", []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) in (4, 5) and re.fullmatch(r"[\d.]+", parts[1]):
            version = parts[1]
            capability = parts[-1] if re.fullmatch(r"\d+\.\d+", parts[-1]) else ""
            gpus.append(Gpu(parts[0], capability, _mebibytes(parts[2]), _mebibytes(parts[3])))
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


def _answer(command: Sequence[str], variables: Mapping[str, str] | None) -> str | None:
    """What a program prints; empty if it fails, None if it hangs or does not start."""
    try:
        process = processes.start(command, processes.clean_variables(variables), import_folder())
    except OSError:
        return None
    with process:
        try:
            out, _ = process.communicate(timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return None
        finally:
            processes.kill_tree(process)
    return out.decode("utf-8", "replace") if process.returncode == 0 else ""


def _mebibytes(text: str) -> int:
    return int(text) << 20 if text.isdigit() else 0
