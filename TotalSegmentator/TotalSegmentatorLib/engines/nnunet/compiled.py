"""The compiled mode: networks that OpenVINO runs, as far as they agree with the exact ones.

A network is compared before its first use on a computer. The figures stay beside its weights.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..contract import COMPARE, Reporter, Run
from ..kept import Kept
from .models import Model
from .network import Network
from .plans import NotCovered
from .prediction import Prepared, to_labels
from .windows import window_starts

if TYPE_CHECKING:
    from .openvino_network import CompiledNetwork


@dataclass(frozen=True)
class Agreement:
    """How far the labels of two networks agree in a window.

    :param mean_dice: over the structures that either of them finds.
    :param equal_voxels: share of the voxels with the same label.
    :param date: of the comparison, ISO 8601.
    """

    mean_dice: float
    equal_voxels: float
    date: str

    def reaches(self, bar: float) -> bool:
        """Whether both figures do."""
        return min(self.mean_dice, self.equal_voxels) >= bar


def compare(one: np.ndarray, other: np.ndarray) -> Agreement:
    """How far two arrays of labels of the same shape agree."""
    same = one == other
    count = int(max(one.max(), other.max())) + 1
    common, first, second = (
        np.bincount(labels.ravel(), minlength=count)[1:] for labels in (one[same], one, other)
    )
    sizes = first + second
    found = sizes > 0
    dice = 2 * common[found] / sizes[found] if found.any() else np.ones(1)
    today = datetime.date.today().isoformat()
    return Agreement(float(dice.mean()), float(same.mean()), today)


@contextmanager
def compiled_mode(run: Run, device: torch.device) -> Iterator[CompiledMode | None]:
    """The compiled mode of a run; None if it is not asked for or, with a warning, not to be had."""
    if not run.options["compiled"]:
        yield None
    elif device.type != "cpu":
        _warn(run.report, "networks are compiled for CPUs only")
        yield None
    elif not find_spec("openvino"):
        _warn(run.report, "OpenVINO is not installed (Setup installs it for Intel and AMD CPUs)")
        yield None
    else:
        mode = CompiledMode(run.kept, run.report, run.options["compiled_agreement"])
        try:
            yield mode
        finally:
            mode.release_memory()


def _warn(report: Reporter, reason: str) -> None:
    report.warn("engine.not_compiled", f"The network runs in the exact way: {reason}.")


class CompiledMode:
    """Puts compiled networks in the place of exact ones, in one run on the CPU.

    :param kept: where they are kept for further runs.
    :param report: is told which networks are not compiled, and why.
    :param bar: what both figures of an agreement have to reach; 0 asks for no comparison.
    """

    def __init__(self, kept: Kept, report: Reporter, bar: float) -> None:
        self._kept = kept
        self._report = report
        self.bar = bar
        self._in_use: Sequence[CompiledNetwork] = ()
        #: What was found for the networks of this run, by model and fold.
        self.records: dict[tuple[str, str], dict[str, Any]] = {}

    def choose(self, model: Model, prepared: Prepared) -> Model:
        """The model with compiled networks, except for those that do not agree with the exact ones.

        :param prepared: an image; the networks are compared on a window of it.
        """
        name = model.folder.name
        try:
            return self._with_compiled(model, prepared)
        except NotCovered as reason:
            _warn(self._report, f"{name} has {reason}, which OpenVINO is not given here")
        except (ImportError, RuntimeError) as error:  # OpenVINO has none of its own
            self._report.log(str(error))
            _warn(self._report, f"OpenVINO fails with {name}")
        return model

    def _with_compiled(self, model: Model, prepared: Prepared) -> Model:
        compiled = self._compiled(model)
        if compiled is not self._in_use:
            self.release_memory()
            self._in_use = compiled
        networks = [
            ours if self._admits(model, number, ours, prepared) else exact
            for number, (exact, ours) in enumerate(zip(model.networks, compiled, strict=True))
        ]
        return replace(model, networks=tuple(networks))

    def release_memory(self) -> None:
        """Give back what the last model takes for intermediate values."""
        for network in self._in_use:
            network.release_memory()

    @property
    def is_used(self) -> bool:
        """Whether a network of this run is a compiled one."""
        return any(record["compiled"] for record in self.records.values())

    def provenance(self) -> dict[str, Any]:
        """What stands in the report: the runtime, and each network with its agreement."""
        return {
            "runtime": f"OpenVINO {version('openvino')}",
            "precision": "float32",
            "networks": list(self.records.values()),
        }

    def _compiled(self, model: Model) -> tuple[CompiledNetwork, ...]:
        """
        :raises NotCovered: if a network has a layer that has no compiled form.
        """
        from .openvino_network import CompiledNetwork

        threads = torch.get_num_threads()

        def make() -> tuple[CompiledNetwork, ...]:
            with self._report.aside("compiling"):
                return tuple(CompiledNetwork(one, threads) for one in model.networks)

        return self._kept.get(
            ("compiled", model.weights_sha256, model.plans.patch, threads),
            make,
            lambda networks: model.nbytes,  # OpenVINO has them in an order of its own
        )

    def _admits(
        self, model: Model, number: int, compiled: CompiledNetwork, prepared: Prepared
    ) -> bool:
        fold = model.folder.folds[number]
        name = model.folder.name
        record: dict[str, Any] = {"model": name, "fold": fold, "compiled": True}
        if self.bar > 0:
            found = self._agreement(model, number, compiled, prepared)
            record.update(asdict(found), compiled=found.reaches(self.bar))
            if not record["compiled"]:
                self._report.warn(
                    "engine.compiled_refused",
                    f"The compiled network of {name} gives {found.equal_voxels:.2%} of the "
                    f"voxels the same label as the exact one (mean Dice {found.mean_dice:.4f}), "
                    "which is not enough: the exact one is used.",
                )
        self.records[name, fold] = record
        return bool(record["compiled"])

    def _agreement(
        self, model: Model, number: int, compiled: CompiledNetwork, prepared: Prepared
    ) -> Agreement:
        """The figures of a former comparison, or of one that is made now."""
        path = _record_path(model, number)

        def make() -> Agreement:
            found = _read(path)
            if found is None:
                self._report.stage("Comparing the compiled network with the exact one")
                with self._report.aside(COMPARE):
                    window = _bright_window(prepared, model)
                    exact = _labels(model.networks[number], window, self._report)
                    found = compare(exact, _labels(compiled, window, self._report))
                self._write(path, found)
            return found

        return self._kept.get(("agreement", path), make, lambda found: 0)

    def _write(self, path: Path, found: Agreement) -> None:
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            part.write_text(json.dumps(asdict(found)), "utf-8")
            part.replace(path)
        except OSError as error:  # so the next process compares again
            reason = error.strerror  # without the path, which is nobody's business
            self._report.log(f"The agreement of the compiled network is not kept: {reason}")


def _record_path(model: Model, number: int) -> Path:
    """The file for all that the rounding of a compiled network depends on."""
    from .openvino_network import processor_name

    depends = (
        model.weights_sha256[number],
        model.plans.patch,
        version("openvino"),
        processor_name(),
        torch.get_num_threads(),
    )
    digest = hashlib.sha256(repr(depends).encode()).hexdigest()[:16]
    checkpoint = model.folder.checkpoint(model.folder.folds[number])
    return checkpoint.with_name(f"openvino-{digest}.json")


def _read(path: Path) -> Agreement | None:
    try:
        values = json.loads(path.read_text("utf-8"))
        return Agreement(float(values["mean_dice"]), float(values["equal_voxels"]), values["date"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # none yet, or damaged


def _bright_window(prepared: Prepared, model: Model) -> torch.Tensor:
    """A window (1, 1, z, y, x) with much of the body in it: air is dark in CT and MR."""
    patch = model.plans.patch
    windows = [
        prepared.windows_in[tuple(slice(s, s + n) for s, n in zip(start, patch, strict=True))]
        for start in product(*window_starts(prepared.windows_in.shape, patch, step=1.0))
    ]
    return max(windows, key=torch.mean).contiguous()[None, None]


def _labels(network: Network, window: torch.Tensor, report: Reporter) -> np.ndarray:
    network.on_block = lambda share: report.check()
    with torch.inference_mode():
        features, heads = network.features(window), network.plans.heads
        slabs = (features[:, :, rows] for rows in network.slabs(features.shape[1]))
        return torch.cat([to_labels(network.head(slab)[0], heads) for slab in slabs]).numpy()
