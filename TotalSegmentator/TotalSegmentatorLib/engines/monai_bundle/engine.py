"""Runs the models of the bundle, in this one process."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import torch

from ... import catalog
from ...catalog import Model, Task
from ...images import Image, read_image, write_labelmap
from ...jobs import EngineResult
from ..contract import Run
from ..devices import choose_device, cpu_threads, device_title
from ..monai_import import lean_import
from ..monai_weights import open_checkpoint, weights_file
from ..turns import turn
from ..weights_folder import weights_folder
from . import PREDICT, PREPARE, WRITE

with lean_import():
    from .network import Network
    from .prediction import on_image, predict, prepare

_FOLLOWS = "wholeBody_ct_segmentation 0.2.5"
_PACKAGES = ("torch", "numpy", "monai")


def run(run: Run) -> EngineResult:
    """Segment ``run.image`` with the model of the request's speed.

    :raises SetupError: ``weights.missing``.
    :raises InputError: ``input.bad_model``, ``input.wrong_model``, ``input.untrusted_model``.
    """
    task = catalog.task(run.request.task)
    (model,) = task.own_models(run.request.speed, ())
    device = choose_device(run.request.device)
    with cpu_threads(run.options["threads"]), turn(device, run.report):
        with run.report.timed(PREPARE):
            network = _network(run, model, len(task.labels) + 1, device)
        with run.report.timed(PREDICT):
            labels = _segmented(run, network, model)
        with run.report.timed(WRITE):
            names = _wanted(task, run.request.structures)
            write_labelmap(_only(labels, names), run.labels, names)
        provenance = {
            "engine": "monai_bundle",
            "mode": "exact",
            "device": device_title(device),
            "threads": torch.get_num_threads(),
            "demo": False,
            "model": [model.folder],
            **({"own_weights": True} if run.options["weights"] else {"follows": _FOLLOWS}),
            "weights_sha256": [network.sha256],
            "versions": {name: version(name) for name in _PACKAGES},
        }
    return EngineResult(run.labels, names, provenance, run.report.timings_s)


def _network(run: Run, model: Model, channels: int, device: torch.device) -> Network:
    """The network, which is kept for further runs if its file stays the same."""
    path = weights_file(run.options["weights"], model, weights_folder())
    state = path.stat()
    key = ("monai_bundle", str(device), str(path), state.st_size, state.st_mtime_ns)
    return run.kept.get(
        key, lambda: Network(open_checkpoint(path), channels, device), lambda one: one.nbytes
    )


def _segmented(run: Run, network: Network, model: Model) -> Image:
    assert model.spacing_mm
    image, _ = read_image(run.image)
    prepared = prepare(image, model.spacing_mm[0], network.device)
    image = image.with_array(np.broadcast_to(np.uint8(0), image.array.shape))  # its grid is enough
    labels = predict(network, prepared, run.options["overlap"], run.options["batch"], run.report)
    return on_image(labels, prepared.grids, image)


def _wanted(task: Task, structures: tuple[str, ...]) -> dict[int, str]:
    return {v: id for v, id in task.labels.items() if not structures or id in structures}


def _only(labels: Image, names: dict[int, str]) -> Image:
    """The labels that are wanted."""
    wanted = np.isin(np.arange(int(labels.array.max()) + 1), list(names))
    return labels.with_array(labels.array * wanted[labels.array])
