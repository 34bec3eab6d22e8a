"""Made weights of MONAI's networks, where the models of the catalogue lie.

Their labels mean nothing. Run with the engine environment's Python::

    python Testing/Python/engines/monai/made_bundles.py WEIGHTS_FOLDER --task wholebody_ct

``--features`` makes the networks narrower, for tests that need the path and not the cost.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from monai.networks.nets import SegResNet, vista3d132
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "TotalSegmentator"))
from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.catalog import Task

_FULL = {"monai_bundle": 32, "nv_segment": 48}


def main() -> None:
    """Make the weights that tasks need at any speed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="weights folder")
    parser.add_argument("--task", nargs="+", default=["wholebody_ct"])
    parser.add_argument("--features", type=int, help="of the first stage; else the true number")
    arguments = parser.parse_args()
    for task in map(catalog.task, arguments.task):
        models = dict.fromkeys(model for models in task.speeds.values() for model in models)
        for seed, model in enumerate(models):
            path = arguments.folder / model.folder / model.checkpoint
            if not path.exists():
                torch.manual_seed(seed)
                path.parent.mkdir(parents=True, exist_ok=True)
                features = arguments.features or _FULL[task.engine]
                torch.save(make_network(task, features).state_dict(), path)
            print(path)


def make_network(task: Task, features: int) -> nn.Module:
    """A network with random weights.

    :param features: of the first stage; a multiple of 8.
    """
    if task.engine == "nv_segment":
        return vista3d132(encoder_embed_dim=features, in_channels=1)
    network = SegResNet(
        in_channels=1,
        out_channels=len(task.labels) + 1,
        init_filters=features,
        blocks_down=(1, 2, 2, 4),
        blocks_up=(1, 1, 1),
        dropout_prob=0.2,
    )
    head = network.conv_final[2].conv  # widened, so that argmax gives many classes
    nn.init.normal_(head.weight, std=0.5)
    nn.init.normal_(head.bias, std=0.5)
    return network


if __name__ == "__main__":
    main()
