"""Runs the prompts of a request on an image, in this one process."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import torch

from ... import catalog
from ...catalog import Model
from ...images import Image, read_image, write_labelmap
from ...jobs import EngineResult
from ..contract import Run
from ..devices import choose_device, cpu_threads, device_title
from ..monai_import import lean_import
from ..monai_weights import weights_file
from ..turns import turn
from ..weights_folder import weights_folder
from . import BRAIN, BRAIN_TASK, PREDICT, PREPARE, WRITE, window_size
from .brain import BrainOptions, labels_on_original, prepare_brain
from .prompts import prompts_for

with lean_import():
    from .network import Network, load_network
    from .prediction import How, predict
    from .preparation import on_image, prepare
    from .tensorrt import TensorRT

_FOLLOWS = "NV-Segment-CTMR 0.0.1"
_PACKAGES = ("torch", "numpy", "monai")


def run(run: Run) -> EngineResult:
    """Segment ``run.image`` with the structures of the request, or with those of its task.

    :raises SetupError: ``weights.missing``, ``environment.tensorrt_missing``.
    :raises InputError: ``input.bad_model``, ``input.wrong_model``, ``input.untrusted_model``,
        ``input.no_foreground``, and those of :func:`~.brain.prepare_brain`.
    """
    task = catalog.task(run.request.task)
    (model,) = task.own_models(run.request.speed, ())
    names = prompts_for(task, run.request.structures)
    device = choose_device(run.request.device)
    with cpu_threads(run.options["threads"]):
        with run.report.timed(PREPARE):
            network = _network(run, model, device)
            image, _ = read_image(run.image)
        labels = _segmented(run, network, image, list(names))
        with run.report.timed(WRITE):
            write_labelmap(labels, run.labels, names)
        about = _about(run, network, model)
    return EngineResult(run.labels, names, about, run.report.timings_s)


def _how(run: Run) -> How:
    window = window_size(run.options["window"])
    return How(window, *(run.options[name] for name in ("overlap", "batch", "prompt_batch")))


def _network(run: Run, model: Model, device: torch.device) -> Network:
    how, tensorrt = _how(run), None
    if run.options["tensorrt"]:
        tensorrt = TensorRT(how.window, how.batch)
        tensorrt.check(device)
    path = weights_file(run.options["weights"], model, weights_folder())
    return load_network(path, device, run.kept, tensorrt)


def _segmented(run: Run, network: Network, image: Image, prompts: Sequence[int]) -> Image:
    if run.request.task != BRAIN_TASK or run.options["prepared"]:
        return _predicted(run, network, image, prompts)
    options = BrainOptions(*(run.options[o] for o in ("brain_mask", "skull_strip", "template")))
    # Not in the run's turn at the GPU: the command that removes the skull may want one, too.
    with run.report.timed(BRAIN):
        brain = prepare_brain(image, options, run.folder, run.report)
    return labels_on_original(_predicted(run, network, brain.image, prompts), brain)


def _predicted(run: Run, network: Network, image: Image, prompts: Sequence[int]) -> Image:
    with turn(network.device, run.report), run.report.timed(PREDICT):
        prepared = prepare(image, network.device)
        labels = predict(network, prepared.volume, prompts, _how(run), run.report)
        return on_image(labels, prepared, image)


def _about(run: Run, network: Network, model: Model) -> dict[str, Any]:
    return {
        "engine": "nv_segment",
        "mode": "tensorrt" if run.options["tensorrt"] else "exact",
        "device": device_title(network.device),
        "threads": torch.get_num_threads(),
        "demo": False,
        "model": [model.folder],
        **({"own_weights": True} if run.options["weights"] else {"follows": _FOLLOWS}),
        "weights_sha256": [network.sha256],
        "versions": {name: version(name) for name in _PACKAGES},
    }
