"""Checkpoints and plans from anywhere, in the engine environment; prints one line of JSON.

python run_checkpoints.py FOLDER: what comes of loading them.
python run_checkpoints.py FOLDER official: of running one with nnU-Net's own predictor.
"""

from __future__ import annotations

import json
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "TotalSegmentator"))
from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.engines.kept import Kept
from TotalSegmentatorLib.engines.known_weights import KNOWN_WEIGHTS
from TotalSegmentatorLib.engines.nnunet.checkpoints import load_checkpoint
from TotalSegmentatorLib.engines.nnunet.model_folder import ModelFolder, open_model_folder
from TotalSegmentatorLib.engines.nnunet.models import CatalogModels
from TotalSegmentatorLib.engines.nnunet.network import check_classes
from TotalSegmentatorLib.engines.totalsegmentator.engine import harmless_loading
from TotalSegmentatorLib.errors import InputError
from TotalSegmentatorLib.jobs.checksums import sha256_of

CPU = torch.device("cpu")
UNET = "dynamic_network_architectures.architectures.unet.PlainConvUNet"
CONTENT = {
    "network_weights": {"weight": torch.arange(6.0)},
    "trainer_name": "nnUNetTrainer",
    "init_args": {"configuration": "3d_fullres"},
    "logging": {"losses": [np.float64(0.5), np.float32(0.25)], "counts": np.arange(3)},
}
DAMAGED = {
    "text": b"hello",
    "page": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "nothing": b"",
    "zeros": bytes(5000),
}


class Touches:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._command = f"touch {path}"

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self._command,)


def outcome(call: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"value": call()}
    except InputError as error:
        return {"code": error.code, "text": str(error)}


def as_numpy_1_wrote_it(source: Path, target: Path) -> None:
    with zipfile.ZipFile(source) as read, zipfile.ZipFile(target, "w") as written:
        for name in read.namelist():
            content = read.read(name)
            if name.endswith("data.pkl"):
                assert b"numpy._core.multiarray" in content
                content = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
            written.writestr(name, content)


def values(path: Path) -> list[float]:
    content = load_checkpoint(path)
    weights, logged = content["network_weights"]["weight"], content["logging"]
    return [float(value) for value in (*weights, *logged["losses"], *logged["counts"])]


def checkpoints(folder: Path) -> dict[str, Any]:
    path, answer = folder / "checkpoint.pth", {}
    torch.save(CONTENT, path)
    whole = path.read_bytes()
    answer["as written"] = outcome(lambda: values(path))
    older = folder / "older.pth"
    as_numpy_1_wrote_it(path, older)
    answer["numpy 1"] = outcome(lambda: values(older))
    for name, content in {**DAMAGED, "cut off": whole[: len(whole) // 2]}.items():
        path = folder / f"{name}.pth"
        path.write_bytes(content)
        answer[name] = outcome(lambda path=path: load_checkpoint(path))
    for name, other in {"only weights": CONTENT["network_weights"], "a list": [1]}.items():
        path = folder / f"{name}.pth"
        torch.save(other, path)
        answer[name] = outcome(lambda path=path: load_checkpoint(path))
    path, touched = folder / "code.pth", folder / "touched"
    torch.save({**CONTENT, "more": Touches(touched)}, path)
    answer["code"] = {**outcome(lambda: load_checkpoint(path)), "ran": touched.exists()}
    load_checkpoint(path, trusted=True)
    answer["code, trusted"] = {"ran": touched.exists()}
    return answer


def of_a_task(folder: Path) -> dict[str, Any]:
    """A downloaded model, whose checkpoint holds code, or whose plans do."""
    (model,) = catalog.task("body").speeds["fast"]
    place = folder / model.folder / model.subfolder
    (place / "fold_0").mkdir(parents=True)
    torch.save({**CONTENT, "more": Touches(folder)}, place / "fold_0" / "checkpoint_final.pth")
    (place / "plans.json").write_text(json.dumps(plans(nonlin="subprocess.Popen")), "utf-8")
    (place / "dataset.json").write_text(json.dumps({"labels": {}}), "utf-8")
    models = CatalogModels(folder, CPU, Kept())
    answer: dict[str, Any] = {
        "folder": model.folder,
        "load": outcome(lambda: models.load(model)),
        "plans": outcome(lambda: models.check_harmless(model)),
    }
    (place / "plans.json").write_text(json.dumps(plans()), "utf-8")
    answer["checkpoint"] = outcome(lambda: models.check_harmless(model))
    checkpoint = next(place.rglob("*.pth"))
    with harmless_loading():
        answer["replaced"] = outcome(lambda: torch.load(str(checkpoint), weights_only=False))
    answer["known"] = of_a_known_one(folder, models, model)
    before = models.stamp(model)
    (place / "dataset.json").write_text(json.dumps({"labels": {"liver": 1}}), "utf-8")
    return {**answer, "stamped": models.stamp(model) != before}


def of_a_known_one(folder: Path, models: CatalogModels, model: catalog.Model) -> dict[str, Any]:
    """The same, when its checksum stands in the list of published ones; and when plans do harm."""
    network = folder / model.folder / model.subfolder
    listed = folder / "known.json"
    os.environ[KNOWN_WEIGHTS] = str(listed)
    answer = {}
    for name, text in (("no list", ""), ("odd list", '{"models": [3]}'), ("not a list", "[]")):
        listed.write_text(text)
        answer[name] = outcome(lambda: models.check_harmless(model))
    digest = sha256_of(network / "fold_0" / "checkpoint_final.pth")
    listed.write_text(json.dumps({"models": {model.folder: {"x.pth": digest}}}))
    answer["listed"] = outcome(lambda: models.check_harmless(model))
    (network / "plans.json").write_text(json.dumps(plans(nonlin="subprocess.Popen")), "utf-8")
    answer["listed, other plans"] = outcome(lambda: models.check_harmless(model))
    (network / "plans.json").write_text(json.dumps(plans()), "utf-8")
    del os.environ[KNOWN_WEIGHTS]
    return answer


def plans(network: str = UNET, **classes: str | None) -> dict[str, Any]:
    architecture = {
        "network_class_name": network,
        "arch_kwargs": classes,
        "_kw_requires_import": [*classes, "norm_op"],
    }
    former = {"UNet_class_name": "PlainConvUNet"}
    return {"configurations": {"former": former, "3d_fullres": {"architecture": architecture}}}


def classes() -> dict[str, Any]:
    """The code of the error for each dotted path, as a layer and as the network."""
    paths = (
        *("torch.nn.modules.conv.Conv3d", "torch.nn.LeakyReLU", "torch.nn.Nowhere", UNET),
        "dynamic_network_architectures.building_blocks.residual.BottleneckD",
        *("subprocess.Popen", "os.system", "torch.nn.modules.module.torch.os.system"),
        *("torch.hub.load", "torch.nn.modules.module.warnings.warn", "torch.nn.Module.__init__"),
    )
    return {
        path: [
            outcome(lambda given=given: check_classes(given)).get("code")
            for given in (plans(nonlin=path, dropout_op=None), plans(path))
        ]
        for path in paths
    }


def official(folder: Path) -> dict[str, Any]:
    from TotalSegmentatorLib.engines.nnunet.predictor import predict_officially

    demo = open_model_folder(catalog.task("demo").model_path)
    given = json.loads(json.dumps(demo.plans))
    for configuration in given["configurations"].values():
        configuration["architecture"]["arch_kwargs"]["nonlin"] = "subprocess.Popen"
    model = ModelFolder(demo.path, given, demo.dataset, demo.folds)
    run: Any = SimpleNamespace(options={"trust_model": False})
    return outcome(lambda: predict_officially(model, run, CPU))


place = Path(sys.argv[1])
if sys.argv[2:]:
    result = official(place)
else:
    result = {"checkpoints": checkpoints(place), "task": of_a_task(place), "classes": classes()}
print(json.dumps(result))
