"""The compiled mode in the engine environment; each command prints one line of JSON.

python run_compiled.py layers
python run_compiled.py demo FOLDER IMAGE
python run_compiled.py broken FOLDER IMAGE
python run_compiled.py absent
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "TotalSegmentator"))
from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.engines.contract import Reporter
from TotalSegmentatorLib.engines.kept import Kept
from TotalSegmentatorLib.engines.nnunet import SPEC, openvino_network
from TotalSegmentatorLib.engines.nnunet.compiled import CompiledMode, compare, compiled_mode
from TotalSegmentatorLib.engines.nnunet.geometry import Volume, volume_of
from TotalSegmentatorLib.engines.nnunet.model_folder import open_model_folder
from TotalSegmentatorLib.engines.nnunet.models import Model, load_model
from TotalSegmentatorLib.engines.nnunet.network import Network
from TotalSegmentatorLib.engines.nnunet.openvino_network import CompiledNetwork
from TotalSegmentatorLib.engines.nnunet.plans import NotCovered
from TotalSegmentatorLib.engines.nnunet.prediction import How, Prepared, Watch, predict, prepare
from TotalSegmentatorLib.errors import CancelledError
from TotalSegmentatorLib.images import read_image
from TotalSegmentatorLib.jobs import JobContext, Stage, Warned

PATCH = (16, 48, 40)
CPU = torch.device("cpu")
THREADS = 2


class Listener:
    """Notes what a run says."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.report = Reporter(SPEC, JobContext(self.events.append))

    def codes(self) -> list[str]:
        return [event.code for event in self.events if isinstance(event, Warned)]

    def stages(self) -> int:
        return sum(isinstance(event, Stage) for event in self.events)


def make_network(kind: Any, **others: Any) -> Network:
    """A network with uneven kernels and strides, and weights that all do something."""
    torch.manual_seed(0)
    depth = "n_blocks_per_stage" if kind is ResidualEncoderUNet else "n_conv_per_stage"
    arguments = {
        "n_stages": 3,
        "features_per_stage": [8, 16, 24],
        "conv_op": nn.Conv3d,
        "kernel_sizes": [(1, 3, 3), (3, 3, 3), (3, 3, 3)],
        "strides": [(1, 1, 1), (1, 2, 2), (2, 2, 2)],
        depth: 2,
        "n_conv_per_stage_decoder": 1,
        "conv_bias": True,
        "norm_op": nn.InstanceNorm3d,
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": nn.LeakyReLU,
    }
    module = kind(1, num_classes=4, **(arguments | others))
    for parameter in module.parameters():
        parameter.requires_grad_(False)
        if parameter.ndim == 1:  # biases, and the weights of norms
            parameter.normal_(1.0, 0.3)
    return Network(module, SimpleNamespace(patch=PATCH), CPU)


def window(seed: int) -> torch.Tensor:
    """Noise beside a region of one value."""
    values = torch.randn((1, 1, *PATCH), generator=torch.Generator().manual_seed(seed))
    values[..., PATCH[2] // 2 :] = 3.7
    return values


@torch.inference_mode()
def layers() -> dict:
    """Largest errors of compiled networks, which have none, and one that is cancelled."""
    networks = {
        "plain": make_network(PlainConvUNet),
        "residual": make_network(ResidualEncoderUNet),
        "relu without bias": make_network(PlainConvUNet, nonlin=nn.ReLU, conv_bias=False),
    }
    errors = {}
    for name, exact in networks.items():
        compiled = CompiledNetwork(exact, THREADS)
        pairs = [(exact.features(window(n)), compiled.features(window(n)).clone()) for n in (1, 2)]
        compiled.release_memory()
        pairs.append((exact.features(window(3)), compiled.features(window(3))))
        errors[name] = max(float((one - other).abs().max()) for one, other in pairs)
    others = {
        "other norm": {"norm_op": nn.BatchNorm3d},
        "norm without weights": {"norm_op_kwargs": {"eps": 1e-5, "affine": False}},
        "other activation": {"nonlin": nn.GELU},
    }
    refused = [name for name, one in others.items() if _is_refused(one)]
    return {"errors": errors, "refused": refused, "of": list(others), "cancel": _cancel()}


def _is_refused(arguments: dict[str, Any]) -> bool:
    try:
        CompiledNetwork(make_network(PlainConvUNet, **arguments), THREADS)
    except NotCovered:
        return True
    return False


def _cancel() -> dict:
    """Stop within a window of seconds; the network must work afterwards."""
    exact = make_network(PlainConvUNet, features_per_stage=[64, 64, 64])
    exact.plans.patch = (64, 96, 96)
    compiled = CompiledNetwork(exact, THREADS)
    values = torch.randn((1, 1, 64, 96, 96))
    began = time.monotonic()
    whole = compiled.features(values).clone()
    seconds = time.monotonic() - began

    def stop(share: float) -> None:
        raise CancelledError()

    compiled.on_block = stop
    began = time.monotonic()
    try:
        compiled.features(values)
        stopped = False
    except CancelledError:
        stopped = True
    share = (time.monotonic() - began) / seconds
    compiled.on_block = lambda share: None
    again = torch.equal(whole, compiled.features(values))
    return {"stopped": stopped, "share": share, "works again": again}


@dataclass(frozen=True, eq=False)
class Demo:
    """The demo model in a folder of the test's own, and the image that it runs on."""

    model: Model
    volume: Volume
    prepared: Prepared

    def choose(self, bar: float = 0.999, kept: Kept | None = None) -> tuple[Model, dict]:
        """What the compiled mode takes, and what it says."""
        listener = Listener()
        mode = CompiledMode(kept or Kept(), listener.report, bar)
        model = mode.choose(self.model, self.prepared)
        (record,) = mode.provenance()["networks"]
        said = {"compared": listener.stages(), "warnings": listener.codes(), "used": mode.is_used}
        return model, {**said, **record}

    def labels(self, model: Model) -> np.ndarray:
        watch = Watch(lambda share: None, lambda name: nullcontext())
        return predict(model, self.volume, self.prepared, How(0.5), watch)


def open_demo(folder: Path, image: Path) -> Demo:
    former = shutil.ignore_patterns("openvino-*")  # figures of other runs
    shutil.copytree(catalog.task("demo").model_path, folder / "model", ignore=former)
    model = load_model(open_model_folder(folder / "model"), CPU, Kept(), trusted=False)
    volume = volume_of(read_image(image)[0])
    return Demo(model, volume, prepare(volume, model.plans))


def demo(folder: Path, image: Path) -> dict:
    """The labels of the demo model in both modes, and how it is admitted."""
    torch.set_num_threads(THREADS)
    this = open_demo(folder, image)
    fold = folder / "model" / "fold_0"
    kept = Kept()
    model, first = this.choose(kept=kept)
    agreement = compare(this.labels(this.model), this.labels(model))
    (path,) = fold.glob("openvino-*")
    answer = {"first": first, **asdict(agreement), "files": sorted(p.name for p in fold.iterdir())}
    answer["again"] = this.choose()[1]
    answer["unchecked"] = this.choose(bar=0.0)[1]
    good = path.read_text("utf-8")
    path.write_text(good[: len(good) // 2], "utf-8")
    answer["kept"] = this.choose(kept=kept)[1]
    answer["damaged"] = this.choose()[1]
    answer["mended"] = path.read_text("utf-8") == good
    path.write_text(json.dumps({**json.loads(good), "mean_dice": 0.9}), "utf-8")
    refused, answer["refused"] = this.choose()
    answer["refused"]["exact"] = refused.networks == this.model.networks
    path.unlink()
    fold.rename(fold.with_name("fold_9"))  # nothing can be written where it was
    answer["not written"] = this.choose()[1]
    return answer


def broken(folder: Path, image: Path) -> dict:
    """An OpenVINO that fails, and one that cannot be imported."""
    this = open_demo(folder, image)

    def fail(exact: Network, threads: int) -> CompiledNetwork:
        raise RuntimeError("Exception from src/plugins")

    openvino_network.CompiledNetwork = fail  # type: ignore[assignment,misc]
    answer = {"fails": _exact(this)}
    sys.modules[openvino_network.__name__] = None  # type: ignore[assignment]
    return {**answer, "cannot be imported": _exact(this)}


def _exact(this: Demo) -> dict:
    listener = Listener()
    mode = CompiledMode(Kept(), listener.report, 0.999)
    model = mode.choose(this.model, this.prepared)
    same = model.networks == this.model.networks
    return {"warnings": listener.codes(), "same": same, "used": mode.is_used}


def absent() -> dict:
    """Why there is no compiled mode: for another device, and without OpenVINO."""
    listener = Listener()
    found = []

    def look(device: torch.device) -> None:
        options = {"compiled": True, "compiled_agreement": 0.999}
        run = SimpleNamespace(options=options, report=listener.report, kept=Kept())
        with compiled_mode(run, device) as mode:
            found.append(mode is not None)

    look(torch.device("cuda", 0))
    look(CPU)
    sys.modules["openvino"] = None  # type: ignore[assignment]
    look(CPU)
    return {"modes": found, "warnings": listener.codes()}


command, *paths = sys.argv[1:]
commands = {"layers": layers, "demo": demo, "broken": broken, "absent": absent}
print(json.dumps(commands[command](*map(Path, paths))))
