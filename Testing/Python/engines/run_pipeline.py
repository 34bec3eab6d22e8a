"""Parts of the fast engine's way through a task, in the engine environment.

Prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "TotalSegmentator"))
from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.engines import gpu
from TotalSegmentatorLib.engines.contract import Reporter
from TotalSegmentatorLib.engines.kept import Kept
from TotalSegmentatorLib.engines.nnunet import SPEC, engine, parts
from TotalSegmentatorLib.engines.nnunet.network import Network
from TotalSegmentatorLib.jobs import JobContext, Warned

MARGIN = 20


def split() -> dict:
    """Heights at which an image is cut into three, and at which the official cuts fit together."""
    heights = range(30, 200)
    ours = [n for n in heights if parts.is_split((9, 9, n), False, True)]
    large = (600, 600, 900)
    return {
        "ours": ours,
        "official": [n for n in heights if _fits(n)],
        "of itself": [
            parts.is_split(large, True, False),
            parts.is_split(large, False, False),
            parts.is_split((9, 9, 900), True, False),
        ],
    }


def _fits(height: int) -> bool:
    rows, third = range(height), height // 3
    upper = rows[: third + MARGIN][:-MARGIN]
    middle = rows[third + 1 - MARGIN : third * 2 + MARGIN][MARGIN - 1 : -MARGIN]
    lower = rows[third * 2 + 1 - MARGIN :][MARGIN - 1 :]
    return [*upper, *middle, *lower] == list(rows)


def blocks() -> dict:
    """The shares of a window that are told, by kind of network."""
    common = {
        "features_per_stage": [8, 16, 24],
        "conv_op": nn.Conv3d,
        "kernel_sizes": 3,
        "strides": [1, 2, (1, 2, 2)],
        "n_conv_per_stage_decoder": [1, 2],
        "norm_op": nn.InstanceNorm3d,
        "norm_op_kwargs": {"affine": True},
        "nonlin": nn.ReLU,
    }
    plain = PlainConvUNet(1, 3, num_classes=2, n_conv_per_stage=[2, 1, 1], **common)
    residual = ResidualEncoderUNet(1, 3, num_classes=2, n_blocks_per_stage=[2, 1, 1], **common)
    return {"plain": _shares(plain), "residual": _shares(residual)}


@torch.inference_mode()
def _shares(module: nn.Module) -> list[float]:
    told: list[float] = []
    network = Network(module, SimpleNamespace(), torch.device("cpu"))
    network.on_block = told.append
    network.features(torch.zeros(1, 1, 8, 16, 16))
    return told


def handed_over() -> list:
    """What people read when others run a model, and whether there is room for them."""
    return [_hand_over({}), _hand_over({"compiled": True, "body_first": True})]


def _hand_over(options: dict[str, Any]) -> dict:
    run, events = _run(options)
    run.kept.get("a network", lambda: "weights", len)
    engine._hand_over(run, "the reader Other", "somebody")
    (warning,) = events
    return {"message": warning.message, "kept": run.kept.get("a network", str, len)}


def idle() -> dict:
    """The options that are said to be without effect, by task."""
    found = {}
    for task, structures in (
        ("total", ()),
        ("total", ("liver",)),
        ("total_mr", ()),
        ("brain_aneurysm", ()),
        ("liver_vessels", ()),
    ):
        run, events = _run({"body_seg": True, "body_first": True})
        engine._warn_about_body(run, catalog.task(task), structures)
        found[" ".join((task, *structures))] = [event.message.split(".")[0] for event in events]
    return found


def _run(options: dict[str, Any]) -> tuple[Any, list[Warned]]:
    events: list[Any] = []
    report = Reporter(SPEC, JobContext(events.append))
    return SimpleNamespace(options=SPEC.parse_options(options), report=report, kept=Kept()), events


def freed() -> dict:
    """On which device memory is given back after it was too small, and where the sums go then."""
    emptied = []
    torch.mps.empty_cache = lambda: emptied.append("mps")

    def compute(way: gpu.Way) -> str:
        if way.sums_on.type == "mps":
            raise RuntimeError("MPS backend out of memory")
        return way.sums_on.type

    ways = [gpu.Way(1, torch.device("mps")), gpu.Way(1, torch.device("cpu"))]
    return {"sums on": gpu.first_that_fits(ways, compute), "emptied": emptied}


print(json.dumps({one.__name__: one() for one in (split, blocks, handed_over, idle, freed)}))
