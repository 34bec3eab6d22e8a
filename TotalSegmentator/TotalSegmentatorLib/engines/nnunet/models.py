"""Loading a model folder into networks."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ... import catalog
from ...errors import InputError
from ...jobs.checksums import sha256_of
from ..kept import Kept
from ..known_weights import is_known
from .checkpoints import load_checkpoint
from .model_folder import ModelFolder, open_model_folder
from .network import Network, build_network, check_classes
from .plans import Plans, check_trainer, read_plans


@dataclass(frozen=True, eq=False)
class Model:
    """A trained model, ready to run.

    :param folder: where it comes from.
    :param plans: of its configuration.
    :param networks: one for each fold; their scores are averaged.
    :param mirror_axes: axes (0 to 2 of z, y, x) along which windows may be mirrored.
    :param digests: checksum of each fold's checkpoint, made beside what the network does.
    """

    folder: ModelFolder
    plans: Plans
    networks: tuple[Network, ...]
    mirror_axes: tuple[int, ...]
    digests: tuple[Future[str], ...]

    @property
    def nbytes(self) -> int:
        """Size of the weights in bytes."""
        return sum(network.nbytes for network in self.networks)

    @property
    def weights_sha256(self) -> tuple[str, ...]:
        """Checksum of each fold's checkpoint."""
        return tuple(digest.result() for digest in self.digests)


class CatalogModels:
    """The models of the catalogue that are on this computer.

    :param place: the weights folder.
    :param device: where they are loaded to.
    :param kept: where they are kept for further runs.
    """

    def __init__(self, place: Path, device: torch.device, kept: Kept) -> None:
        self._place = place
        self._device = device
        self._kept = kept
        #: Those that were used.
        self.loaded: dict[catalog.Model, Model] = {}

    def folder(self, model: catalog.Model) -> ModelFolder:
        """
        :raises InputError: ``input.bad_model``.
        """
        with _downloaded(model):
            folder = open_model_folder(self._place / model.folder / model.subfolder)
        folds = tuple(map(str, model.folds)) or tuple(f for f in folder.folds if f != "all")
        return replace(folder, folds=folds)

    def load(self, model: catalog.Model) -> Model:
        """:raises: see :func:`load_model`."""
        with _downloaded(model):
            found = load_model(self.folder(model), self._device, self._kept, trusted=False)
        self.loaded[model] = found
        return found

    def check_harmless(self, model: catalog.Model) -> None:
        """Refuse a model that holds code, which the official package would run.

        :raises InputError: ``input.untrusted_model``, ``input.bad_model``.
        """
        with _downloaded(model):
            folder = self.folder(model)
            check_classes(folder.plans)
            for fold in folder.folds:
                load_checked(folder.checkpoint(fold))

    def stamp(self, model: catalog.Model) -> Hashable:
        """Another value if the model was replaced by another one."""
        return _stamps(self.folder(model))


@contextmanager
def _downloaded(model: catalog.Model) -> Iterator[None]:
    """Errors in the block get a remedy for a model that was downloaded."""
    try:
        yield
    except InputError as error:
        remedy = f"Delete '{model.folder}' in the weights folder: the next run downloads it again."
        raise InputError(error.code, error.message, remedy, error.details) from error


def weights_sha256(folder: ModelFolder) -> tuple[str, ...]:
    """Checksum of each fold's checkpoint, for models that others load."""
    return tuple(sha256_of(folder.checkpoint(fold)) for fold in folder.folds)


def load_model(folder: ModelFolder, device: torch.device, kept: Kept, trusted: bool) -> Model:
    """The model of a folder; one that was loaded before is used again if its files are the same.

    :param trusted: see :func:`.checkpoints.load_checkpoint`.
    :raises NotCovered: if this engine cannot run it.
    :raises InputError: see :func:`.checkpoints.load_checkpoint`.
    """
    key = ("model", str(device), trusted, _stamps(folder))
    return kept.get(key, lambda: _load(folder, device, trusted), lambda model: model.nbytes)


def _stamps(folder: ModelFolder) -> tuple[tuple[str, int, int], ...]:
    descriptions = (folder.path / name for name in ("plans.json", "dataset.json"))
    checkpoints = (folder.checkpoint(fold) for fold in folder.folds)
    states = [(path, path.stat()) for path in (*descriptions, *checkpoints)]
    return tuple((str(path), state.st_size, state.st_mtime_ns) for path, state in states)


def _load(folder: ModelFolder, device: torch.device, trusted: bool) -> Model:
    plans: Plans | None = None
    mirror_axes: tuple[int, ...] = ()
    networks = []
    for fold in folder.folds:
        checkpoint = load_checked(folder.checkpoint(fold), trusted)
        if plans is None:  # as nnU-Net does, which asks the first fold
            check_trainer(checkpoint["trainer_name"])
            configuration = checkpoint["init_args"]["configuration"]
            plans = read_plans(folder.plans, folder.dataset, configuration)
            mirror_axes = tuple(checkpoint.get("inference_allowed_mirroring_axes") or ())
        networks.append(Network(build_network(plans, checkpoint["network_weights"]), plans, device))
    assert plans is not None
    return Model(folder, plans, tuple(networks), mirror_axes, _digests(folder))


def load_checked(path: Path, trusted: bool = False) -> dict[str, Any]:
    """As :func:`.checkpoints.load_checkpoint`; a published one may hold more than plain data."""
    try:
        return load_checkpoint(path, trusted)
    except InputError as error:
        content = path.read_bytes() if error.code == "input.untrusted_model" else b""
        if not is_known(content):
            raise
        return load_checkpoint(path, trusted=True, content=content)  # the bytes that were checked


def _digests(folder: ModelFolder) -> tuple[Future[str], ...]:
    beside = ThreadPoolExecutor(1)
    digests = [beside.submit(sha256_of, folder.checkpoint(fold)) for fold in folder.folds]
    beside.shutdown(wait=False)
    return tuple(digests)
