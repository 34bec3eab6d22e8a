"""Runs a task of TotalSegmentator or a model folder, in this one process.

What is not covered here is handed to the official packages, and the run says so.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ... import catalog
from ...images import Image, fingerprint, read_image, write_labelmap
from ...jobs import EngineResult
from .. import downloaded_models
from ..contract import Run
from ..devices import choose_device, cpu_threads, device_title
from ..totalsegmentator import SPEC as OFFICIAL
from ..totalsegmentator.access import check_licence, get_models, weights_folder
from ..totalsegmentator.derived import write_derived
from ..turns import turn
from . import PREDICT, PREPARE, WRITE
from .compiled import CompiledMode, compiled_mode
from .geometry import volume_of
from .merging import look_up
from .model_folder import ModelFolder, open_model_folder
from .models import CatalogModels, Model, load_model
from .pipeline import Options, Pipeline, Span
from .plans import NotCovered, check_trainer, read_plans
from .prediction import How, Watch, predict, prepare

_MOST_THREADS = 8  # nnU-Net's own limit; another number of threads rounds in another way


def run(run: Run) -> EngineResult:
    """Segment ``run.image`` with the model folder of the request, or with its task.

    :raises InputError: ``input.bad_model``, ``input.untrusted_model``, ``input.unsupported_model``.
    """
    device = choose_device(run.request.device)
    path = _model_path(run)
    if path:
        return _run_folder(run, open_model_folder(path), device)
    return _run_task(run, device)


def _model_path(run: Run) -> Path | None:
    """The model folder of the user, or one that comes with the extension."""
    if run.request.model:
        return Path(run.request.model)
    task = catalog.task(run.request.task)
    return task.model_path if task.model_folder else None


def _threads(run: Run, device: torch.device) -> int:
    wanted = run.options["threads"]
    if wanted or device.type != "cpu":
        return wanted
    return min(_MOST_THREADS, os.cpu_count() or 1)


def _run_task(run: Run, device: torch.device) -> EngineResult:
    check_licence(run.request.task)
    needed = downloaded_models(run.request)
    get_models(needed, run.report)
    models = CatalogModels(weights_folder(), device, run.kept)
    try:
        _check_covered(needed, models)
        with turn(device, run.report), cpu_threads(_threads(run, device)):
            return _own_task(run, needed, models, device)
    except NotCovered as reason:
        from ..totalsegmentator import engine as official

        _tell(run, reason, "the official TotalSegmentator package")
        options = {one.name: run.options[one.name] for one in OFFICIAL.options}
        return official.run(dataclasses.replace(run, options=options))


def _check_covered(needed: Sequence[catalog.Model], models: CatalogModels) -> None:
    """
    :raises NotCovered: if one of the models is not; before minutes are spent on another.
    """
    for model in needed:
        folder = models.folder(model)
        read_plans(folder.plans, folder.dataset, model.configuration)
        check_trainer(model.trainer)


def _own_task(
    run: Run, needed: Sequence[catalog.Model], models: CatalogModels, device: torch.device
) -> EngineResult:
    request = run.request
    task = catalog.task(request.task)
    with run.report.timed(PREPARE):
        image, _ = read_image(run.image)
        structures = OFFICIAL.own_structures(request.task, request.structures)
    with compiled_mode(run, device) as mode:
        with run.report.timed(PREDICT):
            volume = volume_of(image)
            pipeline = Pipeline(volume, models, run.kept, run.report, device, mode)
            options, span = _options(run), Span(run.report)
            found = pipeline.labels(task, request.speed, structures, options, span)
        provenance = {
            "model": [model.folder for model in needed],
            "follows": "TotalSegmentator 2.18.0",
            "body_first": run.options["body_first"],
            **_about_mode(mode),
        }
    labels = image.with_array(np.ascontiguousarray(found.T))
    names = _selected(dict(task.labels), request.structures)
    return _written(run, labels, names, device, list(models.loaded.values()), provenance)


def _about_mode(mode: CompiledMode | None) -> dict[str, Any]:
    if not mode:
        return {"mode": "exact"}
    return {"mode": "compiled" if mode.is_used else "exact", "compiled": mode.provenance()}


def _options(run: Run) -> Options:
    given = run.options
    return Options(
        robust_crop=given["robust_crop"],
        smooth=given["higher_order_resampling"],
        small_blobs_mm3=given["small_blobs_mm3"] if given["remove_small_blobs"] else 0.0,
        force_split=given["force_split"],
        body_seg=given["body_seg"],
        body_first=given["body_first"],
    )


def _run_folder(run: Run, folder: ModelFolder, device: torch.device) -> EngineResult:
    _warn_about_demo(folder, run)
    names = _selected(folder.label_names, run.request.structures)
    provenance: dict[str, Any] = {"model": folder.path.name, "demo": bool(folder.card.get("demo"))}
    with turn(device, run.report), cpu_threads(_threads(run, device)):
        try:
            with run.report.timed(PREPARE):
                model = load_model(folder, device, run.kept, run.options["trust_model"])
                image, _ = read_image(run.image)
            with compiled_mode(run, device) as mode, run.report.timed(PREDICT):
                volume = volume_of(image)
                prepared = prepare(volume, model.plans)
                chosen = mode.choose(model, prepared) if mode else model
                how = How(run.options["step_size"], run.options["mirroring"])
                watch = Watch(Span(run.report), run.report.measured)
                found = predict(chosen, volume, prepared, how, watch)
            labels = image.with_array(np.ascontiguousarray(found.T))
            about = {**provenance, **_about_mode(mode)}
            return _written(run, labels, names, device, [model], about)
        except NotCovered as reason:
            from .predictor import predict_officially

            _tell(run, reason, "nnU-Net's own predictor")
            with run.report.timed(PREDICT):
                labels = predict_officially(folder, run, device)
            return _written(run, labels, names, device, [], {**provenance, "mode": "official"})


def _tell(run: Run, reason: NotCovered, who: str) -> None:
    run.report.warn(
        "engine.official",
        f"The fast engine does not cover this model ({reason}), so {who} runs it: with the same "
        "labels, but more slowly.",
    )


def _written(
    run: Run,
    labels: Image,
    names: dict[int, str],
    device: torch.device,
    models: Sequence[Model],
    provenance: dict[str, Any],
) -> EngineResult:
    """The result, with its files.

    :param labels: all labels of the task or model.
    :param names: those that are wanted.
    """
    with run.report.timed(WRITE):
        derived = write_derived(run, labels)
        wanted = np.isin(np.arange(int(labels.array.max()) + 1), list(names))
        np.multiply(labels.array, look_up(wanted, labels.array), out=labels.array)
        write_labelmap(labels, run.labels, names)
    packages = ("torch", "numpy", "scipy") if models else ("torch", "nnunetv2")
    about = {
        "engine": "nnunet",
        "versions": {name: version(name) for name in packages},
        "weights_sha256": [digest for model in models for digest in model.weights_sha256],
        "device": device_title(device),
        "threads": torch.get_num_threads(),
        "demo": False,
    }
    return EngineResult(run.labels, names, {**about, **provenance}, run.report.timings_s, derived)


def _selected(names: dict[int, str], structures: tuple[str, ...]) -> dict[int, str]:
    return {v: name for v, name in names.items() if not structures or name in structures}


def _warn_about_demo(folder: ModelFolder, run: Run) -> None:
    card = folder.card
    if not card.get("demo"):
        return
    run.report.warn("demo.model", "The demo model knows one CT only: not for any real use.")
    image, _ = read_image(run.image)
    if fingerprint(image) != card["trained_on"]:
        run.report.warn(
            "demo.other_image",
            "This is not the sample CT that the demo model was fitted to: the labels mean nothing.",
        )
