"""Loading a model folder into networks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from ..kept import Kept
from .checkpoints import load_checkpoint
from .model_folder import ModelFolder
from .network import Network, build_network
from .plans import Plans, check_trainer, read_plans


@dataclass(frozen=True, eq=False)
class Model:
    """A trained model, ready to run.

    :param folder: where it comes from.
    :param plans: of its configuration.
    :param networks: one for each fold; their scores are averaged.
    :param mirror_axes: axes (0 to 2 of z, y, x) along which windows may be mirrored.
    """

    folder: ModelFolder
    plans: Plans
    networks: tuple[Network, ...]
    mirror_axes: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Size of the weights in bytes."""
        return sum(network.nbytes for network in self.networks)

    @cached_property
    def weights_sha256(self) -> tuple[str, ...]:
        """Checksum of each fold's checkpoint."""
        paths = [self.folder.checkpoint(fold) for fold in self.folder.folds]
        return tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)


def load_model(folder: ModelFolder, device: torch.device, kept: Kept, trusted: bool) -> Model:
    """The model of a folder; one that was loaded before is used again if its files are the same.

    :param trusted: see :func:`.checkpoints.load_checkpoint`.
    :raises NotCovered: if this engine cannot run it.
    :raises InputError: see :func:`.checkpoints.load_checkpoint`.
    """
    paths = [folder.checkpoint(fold) for fold in folder.folds]
    key = ("model", str(device), trusted, tuple(_stamp(path) for path in paths))
    return kept.get(key, lambda: _load(folder, paths, device, trusted), lambda model: model.nbytes)


def _stamp(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns


def _load(folder: ModelFolder, paths: Sequence[Path], device: torch.device, trusted: bool) -> Model:
    plans: Plans | None = None
    mirror_axes: tuple[int, ...] = ()
    networks = []
    for path in paths:
        checkpoint = load_checkpoint(path, trusted)
        if plans is None:  # as nnU-Net does, which asks the first fold
            check_trainer(checkpoint["trainer_name"])
            configuration = checkpoint["init_args"]["configuration"]
            plans = read_plans(folder.plans, folder.dataset, configuration)
            mirror_axes = tuple(checkpoint.get("inference_allowed_mirroring_axes") or ())
        networks.append(Network(build_network(plans, checkpoint["network_weights"]), plans, device))
    assert plans is not None
    return Model(folder, plans, tuple(networks), mirror_axes)
