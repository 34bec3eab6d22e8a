"""Graphics cards: their driver, what they are, and whether the engine's PyTorch can use them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ... import remedies
from ..drivers import AMD, APPLE, NONE, NVIDIA, Driver, Gpu
from ..findings import OK, UNKNOWN, WARNING, Finding
from ..hardware import Device, Hardware
from ..torch_builds import TorchBuild

_GB = 1e9
_SMALL_GB, _LITTLE_FREE_GB = 6.0, 3.0
# The variables that say which graphics cards a process may use.
_CHOOSING = {
    NVIDIA: ("CUDA_VISIBLE_DEVICES",),
    AMD: ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"),
}


def driver(found: Driver, best: TorchBuild) -> Finding:
    """Whether the driver of the graphics card works, and PyTorch can use it.

    :param best: the build of PyTorch that fits this computer.
    """
    name = f"{_maker(found)} driver {found.version}".rstrip()
    if found.kind == NONE:
        message = "Networks run on the processor, as no driver of a graphics card was found."
        return Finding("driver", OK, message)
    if found.kind == APPLE:
        return Finding("driver", OK, f"The graphics driver is part of macOS {found.version}.")
    if not found.gpus:
        return Finding(
            "driver",
            WARNING,
            f"The {name} finds no graphics card.",
            "Restart the computer; if that does not help, install the driver again.",
        )
    if best.kind == NONE:
        return Finding(
            "driver",
            WARNING,
            f"PyTorch cannot use {_title(found)}: {best.reason.replace('. ', '; ')}",
            "Install the newest driver if one is too old; until then networks run on the "
            "processor.",
        )
    return Finding("driver", OK, f"{name}.")


def gpus(found: Driver, hardware: Hardware | None) -> Iterator[Finding]:
    """Every graphics card: what it is, and whether it has room.

    :param hardware: what the engine can use; None if that is not known.
    """
    devices = [d for d in hardware.devices if d.kind != "cpu"] if hardware else []
    architectures = hardware.architectures if hardware else ()
    # What the engine does not see, the driver may.
    for number, device in enumerate(devices or found.gpus):
        yield _gpu(f"gpu.{number}", device, architectures)


def _gpu(check: str, device: Device | Gpu, architectures: Sequence[str]) -> Finding:
    free, total = device.free_bytes / _GB, device.total_bytes / _GB
    capability = device.compute_capability
    name = f"{device.title} (compute capability {capability})" if capability else device.title
    if architectures and capability and not runs_on(capability, architectures):
        return Finding(
            check,
            WARNING,
            f"The engine's PyTorch was not built for {name}.",
            "Install the engine again with the build of PyTorch that fits.",
            remedies.CHOOSE_BUILD,
        )
    if not total:  # AMD's driver does not tell
        return Finding(check, OK, f"{name}.")
    message = f"{name}: {free:.1f} of {total:.1f} GB are free"
    if total < _SMALL_GB:
        remedy = "Use a faster speed, segment a region, or run on the processor."
        return Finding(check, WARNING, f"{message}, which is little.", remedy)
    if free < _LITTLE_FREE_GB:
        remedy = "Close other programs that use it, or run on the processor."
        return Finding(check, WARNING, f"{message}.", remedy)
    return Finding(check, OK, f"{message}.")


def runs_on(capability: str, architectures: Sequence[str]) -> bool:
    """Whether an NVIDIA GPU can run code that was built for some architectures.

    Code for ``sm_86`` runs where the first number is the same and the second no smaller; what is
    kept as ``compute_86`` is translated for every newer GPU.

    :param capability: of the GPU, e.g. ``8.9``.
    """
    own = tuple(int(number) for number in capability.split("."))
    matches = (re.fullmatch(r"(sm|compute)_(\d+)(\d)", name) for name in architectures)
    return any(_fits(own, m[1], (int(m[2]), int(m[3]))) for m in matches if m)


def _fits(own: tuple[int, ...], kind: str, built: tuple[int, int]) -> bool:
    return built <= own and (kind == "compute" or built[0] == own[0])


def torch(
    found: Driver,
    hardware: Hardware | None,
    best: TorchBuild,
    variables: Mapping[str, str],
) -> Finding:
    """Whether the engine's PyTorch is the one for the graphics card.

    :param hardware: what the engine can use; None if that is not known.
    :param best: the build of PyTorch that fits this computer.
    :param variables: environment variables of the engine.
    """
    if hardware is None:
        return Finding("torch", UNKNOWN, "Without a working engine there is no PyTorch to ask.")
    name = f"PyTorch {hardware.torch}"
    device = hardware.devices[0]
    if device.kind != "cpu":
        return Finding("torch", OK, f"{name} uses {device.title}.")
    if best.kind == NONE:
        return Finding("torch", OK, f"{name} uses the processor.")
    choosing = _CHOOSING.get(found.kind, ())
    hiding = [v for v in choosing if _hides(variables.get(v), len(found.gpus))]
    if hiding:
        return Finding(
            "torch",
            WARNING,
            f"The environment variable {hiding[0]} hides {_title(found)} from {name}.",
            f"Remove {hiding[0]} if networks shall not run on the processor.",
        )
    built = f", built for {hardware.torch_for}," if hardware.torch_for else ""
    return Finding(
        "torch",
        WARNING,
        f"{name}{built} cannot use {_title(found)}: networks run on the processor, which takes "
        "many times longer.",
        f"Install the engine again with {best.title}; if it has that one, restart the computer.",
        remedies.CHOOSE_BUILD,
    )


def _hides(value: str | None, count: int) -> bool:
    """Whether the list of cards in a variable begins with none of this computer's."""
    first = (value or "").partition(",")[0].strip()
    named = first.startswith(("GPU-", "MIG-")) or (first.isdigit() and int(first) < count)
    return value is not None and not named


def _maker(found: Driver) -> str:
    return found.kind.capitalize() if found.kind == APPLE else found.kind.upper()


def _title(found: Driver) -> str:
    return found.gpus[0].title if found.gpus else f"the {_maker(found)} graphics card"
