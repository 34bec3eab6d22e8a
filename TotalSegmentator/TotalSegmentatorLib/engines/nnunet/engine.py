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
from .. import body_options, downloaded_models
from ..contract import Run
from ..devices import choose_device, cpu_threads, device_title
from ..totalsegmentator import SPEC as OFFICIAL
from ..totalsegmentator.access import check_licence, check_models
from ..totalsegmentator.derived import write_derived
from ..totalsegmentator.statistics import tell_of
from ..turns import turn
from ..weights_folder import weights_folder
from . import PREDICT, PREPARE, WRITE
from .compiled import CompiledMode, compiled_mode
from .geometry import volume_of
from .merging import look_up
from .model_folder import ModelFolder, open_model_folder
from .models import CatalogModels, load_model, weights_sha256
from .pipeline import Options, Pipeline, Span
from .plans import NotCovered, check_trainer, read_plans
from .prediction import How, Watch, predict, prepare

_PACKAGES = ("torch", "numpy", "scipy", "dynamic-network-architectures")
# Switches that nobody else has.
_OWN_OPTIONS = ("compiled", "body_first")
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
    check_models(downloaded_models(run.request))
    try:
        result = _own_task(run, device)
    except NotCovered as error:
        reason = str(error)
    else:
        tell_of(run.request)
        return result
    # After the block: until then the error holds on to what was loaded.
    _hand_over(run, reason, "the official TotalSegmentator package")
    from ..totalsegmentator import engine as official

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


def _own_task(run: Run, device: torch.device) -> EngineResult:
    """
    :raises NotCovered: if one of the models is not.
    """
    request = run.request
    task = catalog.task(request.task)
    structures = OFFICIAL.own_structures(request.task, request.structures)
    needed = downloaded_models(request)
    models = CatalogModels(weights_folder(), device, run.kept)
    _check_covered(needed, models)
    _warn_about_body(run, task, structures)
    with cpu_threads(_threads(run, device)):
        with turn(device, run.report):
            with run.report.timed(PREPARE):
                image, _ = read_image(run.image)
            # What comes first may be to find the body, so the pipeline tells people.
            with (
                compiled_mode(run, device) as mode,
                run.report.timed(PREDICT, shown=False),
            ):
                pipeline = Pipeline(volume_of(image), models, run.kept, run.report, device, mode)
                options, span = _options(run), Span(run.report)
                found = pipeline.labels(task, request.speed, structures, options, span)
        used = pipeline.weights_sha256().values()
        about = {
            "model": [model.folder for model in needed],
            "follows": "TotalSegmentator 2.18.0",
            "body_first": pipeline.body_first,
            "versions": _versions(*_PACKAGES, "connected-components-3d"),
            "weights_sha256": [checksum for checksums in used for checksum in checksums],
            **_about_mode(mode),
        }
        labels = image.with_array(np.ascontiguousarray(found.T))
        names = _selected(dict(task.labels), request.structures)
        return _written(run, labels, names, device, about)


def _warn_about_body(run: Run, task: catalog.Task, structures: Sequence[str]) -> None:
    possible = body_options(task, structures)
    asked = [name for name in ("body_seg", "body_first") if run.options[name]]
    idle = [name for name in asked if name not in possible]
    if idle:
        run.report.warn(
            "engine.option_idle",
            f"Without effect: {', '.join(idle)}. The run looks at another region of the image "
            "already, or the image is no CT.",
        )


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
    with cpu_threads(_threads(run, device)):
        try:
            labels, about = _own_folder(run, folder, device)
        except NotCovered as error:
            reason = str(error)
        else:
            return _written_folder(run, folder, labels, device, about)
        _hand_over(run, reason, "nnU-Net's own predictor")
        from .predictor import predict_officially

        with turn(device, run.report), run.report.timed(PREDICT):
            labels = predict_officially(folder, run, device)
        about = {
            "mode": "official",
            "versions": _versions("torch", "nnunetv2", "dynamic-network-architectures"),
            "weights_sha256": list(weights_sha256(folder)),
        }
        return _written_folder(run, folder, labels, device, about)


def _own_folder(
    run: Run, folder: ModelFolder, device: torch.device
) -> tuple[Image, dict[str, Any]]:
    """The labels, and what the report says of how they were made.

    :raises NotCovered: if the model is not.
    """
    with turn(device, run.report):
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
    about = {
        "versions": _versions(*_PACKAGES),
        "weights_sha256": list(model.weights_sha256),
        **_about_mode(mode),
    }
    return image.with_array(np.ascontiguousarray(found.T)), about


def _written_folder(
    run: Run, folder: ModelFolder, labels: Image, device: torch.device, about: dict[str, Any]
) -> EngineResult:
    names = _selected(folder.label_names, run.request.structures)
    about = {"model": folder.name, "demo": bool(folder.card.get("demo")), **about}
    return _written(run, labels, names, device, about)


def _hand_over(run: Run, reason: str, who: str) -> None:
    """Make room for others, and tell people of them.

    :param reason: why this engine does not run it.
    """
    run.kept.clear()
    dropped = " and ".join(name for name in _OWN_OPTIONS if run.options[name])
    how = f"without {dropped}" if dropped else "with the same labels"
    run.report.warn(
        "engine.official",
        f"The fast engine does not cover this model ({reason}), so {who} runs it: {how}, and more "
        "slowly.",
    )


def _written(
    run: Run,
    labels: Image,
    names: dict[int, str],
    device: torch.device,
    about: dict[str, Any],
) -> EngineResult:
    """The result, with its files.

    :param labels: all labels of the task or model.
    :param names: those that are wanted.
    :param about: what the report says of how they were made.
    """
    with run.report.timed(WRITE):
        derived = write_derived(run, labels)
        wanted = np.isin(np.arange(int(labels.array.max()) + 1), list(names))
        np.multiply(labels.array, look_up(wanted, labels.array), out=labels.array)
        write_labelmap(labels, run.labels, names)
    provenance = {
        "engine": "nnunet",
        "device": device_title(device),
        "threads": torch.get_num_threads(),
        "demo": False,
        **about,
    }
    return EngineResult(run.labels, names, provenance, run.report.timings_s, derived)


def _versions(*packages: str) -> dict[str, str]:
    return {name: version(name) for name in packages}


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
