"""Which PyTorch fits a computer: a table, as each build is made for a range of GPUs and drivers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from ..errors import SetupError
from .drivers import AMD, NONE, NVIDIA, Driver
from .lock import DATA, this_target

#: Where those builds are that PyPI does not have.
TORCH_INDEX = "https://download.pytorch.org/whl"


@dataclass(frozen=True)
class TorchBuild:
    """A build of PyTorch.

    :param id: stable, e.g. ``cuda13``; one id may stand for other files on other systems.
    :param title: for people.
    :param kind: the kind of driver it is for, see :class:`.drivers.Driver`.
    :param platforms: the systems it is for, as :attr:`.lock.Target.system`.
    :param requirement: as pip takes it.
    :param index: the package index that has it; empty means PyPI, and that it is locked.
    :param min_driver: the oldest driver's version; empty means any.
    :param capabilities: NVIDIA's lowest and highest compute capability, all architectures of AMD;
        empty means any.
    :param download_mb: size of the download (10**6 bytes).
    :param disk_gb: what it takes when it is installed (10**9 bytes).
    :param sha256: of the wheel, by the Python's version; missing where it is not known.
    :param verified: whether this very build was fetched from its index and tried by us.
    :param note: how far it was tried.
    :param reason: why it was chosen, a sentence for people.
    """

    id: str
    title: str
    kind: str
    platforms: tuple[str, ...]
    requirement: str
    index: str
    min_driver: str
    capabilities: tuple[str, ...]
    download_mb: int
    disk_gb: float
    verified: bool
    note: str
    sha256: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""

    def is_unchecked(self, python: str) -> bool:
        """Whether files of it are installed that are compared with no locked hash.

        :param python: version of the Python that it is for.
        """
        return bool(self.index) and (self.kind != NONE or python not in self.sha256)


@cache
def _rows() -> tuple[TorchBuild, ...]:
    rows: list[dict[str, Any]] = json.loads((DATA / "torch-builds.json").read_text("utf-8"))
    lists = ("platforms", "capabilities")
    return tuple(TorchBuild(**{**row, **{n: tuple(row[n]) for n in lists}}) for row in rows)


def builds(platform: str | None = None) -> tuple[TorchBuild, ...]:
    """The builds for a system, the best for a GPU first and that for the processor last.

    :param platform: the system, as :attr:`.lock.Target.system`; this one by default.
    """
    system = platform or this_target().system
    return tuple(row for row in _rows() if system in row.platforms)


def find_build(id: str, platform: str | None = None) -> TorchBuild:
    """The build with an id.

    :raises SetupError: ``environment.unknown_build``.
    """
    found = builds(platform)
    for one in found:
        if one.id == id:
            return replace(one, reason="It was asked for.")
    raise SetupError(
        "environment.unknown_build",
        f"There is no PyTorch build '{id}' for this computer.",
        f"Use one of {', '.join(one.id for one in found)}." if found else "",
    )


def from_mirror(build: TorchBuild, mirror: str) -> TorchBuild:
    """A build from where the user wants it instead of :data:`TORCH_INDEX`.

    :param mirror: base URL; empty for none.
    """
    return replace(build, index=build.index.replace(TORCH_INDEX, mirror)) if mirror else build


def choose_build(driver: Driver, platform: str | None = None) -> TorchBuild:
    """The build that fits a driver and its GPUs, with the reason.

    :raises SetupError: ``environment.no_torch_build`` if there is none, not even for the processor.
    """
    system = platform or this_target().system
    found = builds(system)
    if not found:
        raise SetupError(
            "environment.no_torch_build",
            f"There is no current PyTorch for this kind of computer ({system}).",
            "Use another computer: 64-bit Linux or Windows on Intel or AMD, or an Apple Silicon "
            "Mac.",
        )
    own = [one for one in found if one.kind == driver.kind != NONE]
    for of_gpus in (all, any):  # one that fits all GPUs is better
        for one in own:
            if not _hindrance(one, driver, of_gpus):
                return replace(one, reason=f"It fits {_description(driver)}.")
    processor = next(one for one in found if one.kind == NONE)
    return replace(processor, reason=" ".join(_reasons(found, driver)))


def _reasons(found: tuple[TorchBuild, ...], driver: Driver) -> Iterator[str]:
    """Why no GPU is used."""
    if driver.kind == NONE:
        yield "No driver of a GPU that PyTorch can use was found."
        return
    own = [one for one in found if one.kind == driver.kind]
    if not own:
        yield f"PyTorch has no build for {_description(driver)} on this system."
    for one in own:
        yield f"{one.title.partition(' for ')[2]}: {_hindrance(one, driver)}."


def _hindrance(
    build: TorchBuild, driver: Driver, of_gpus: Callable[[Iterable[bool]], bool] = any
) -> str:
    """Why a build does not fit; empty if it does.

    :param of_gpus: whether it must fit ``all`` GPUs or ``any``.
    """
    if not driver.gpus and driver.kind in (NVIDIA, AMD):
        return "the driver does not answer"
    if build.min_driver and version_key(driver.version) < version_key(build.min_driver):
        return f"the driver is {driver.version}, needed is {build.min_driver} or later"
    own = [gpu.compute_capability for gpu in driver.gpus if gpu.compute_capability]
    if build.capabilities and own and not of_gpus(_computes(build, one) for one in own):
        if build.kind == AMD:
            return f"it is not made for {', '.join(own)}"
        low, high = build.capabilities
        return f"the GPU has compute capability {', '.join(own)}, needed is {low} to {high}"
    return ""


def _computes(build: TorchBuild, capability: str) -> bool:
    if build.kind == AMD:
        return capability in build.capabilities
    low, high = map(version_key, build.capabilities)
    return low <= version_key(capability) <= high


def _description(driver: Driver) -> str:
    title = driver.gpus[0].title if driver.gpus else f"the {driver.kind.upper()} GPU"
    return f"{title} with driver {driver.version}" if driver.version else title


def version_key(text: str) -> tuple[int, ...]:
    """For comparing versions: the numbers in it."""
    return tuple(int(part) for part in re.findall(r"\d+", text))
