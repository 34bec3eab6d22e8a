"""Downloading trained models, from where they are published or from a mirror."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ... import catalog
from ...catalog import Archive, Model, archive
from ...errors import SetupError
from ..licence import check_licence, stored_number
from ..network import check_space, download, host_of
from ..observer import Observer
from ..sample_data import VERSION
from ..settings import load_settings
from .installing import install_archive
from .records import Origin, known_archive, remember_archive
from .store import PRESENT, alone, download_bytes, state_of, work_path

#: Where the archives are published, and where those are for which a licence number is needed.
PUBLISHED = "https://github.com/wasserth/TotalSegmentator/releases/download"
LICENSED = "https://backend.totalsegmentator.com:443/download_weights"
# An archive, and what is in it, which is hardly larger.
_SPACE = 2.2
# Of the time that a model takes.
_DOWNLOAD_SHARE = 0.9


@dataclass(frozen=True)
class Way:
    """How weights are downloaded.

    :param mirror: base URL to use instead of :data:`PUBLISHED`; empty for none.
    :param trust_mirror: take from the mirror also what cannot be checked.
    :param variables: environment variables of the engine, which say where the licence number is;
        None: those of this process.
    """

    mirror: str = field(default_factory=lambda: load_settings().weights_mirror)
    trust_mirror: bool = False
    variables: Mapping[str, str] | None = field(default=None, repr=False)


def obtain(
    models: Sequence[Model],
    folder: Path,
    observer: Observer | None = None,
    way: Way | None = None,
) -> None:
    """Download those of the models that are missing or damaged.

    Of two processes that want the same one, the second waits and finds it.

    :param folder: the weights folder.
    :raises SetupError: see :func:`download_archive`; ``weights.unsafe_archive``,
        ``weights.damaged_archive``, ``weights.not_writable``, ``weights.unreadable``,
        ``disk.full``. No model is there in parts.
    :raises CancelledError: if the observer says so; likewise.
    """
    observer, way = observer or Observer(), way or Way()
    missing = [model for model in dict.fromkeys(models) if state_of(model, folder) != PRESENT]
    total, before = download_bytes(missing), 0
    for model in missing:
        size = download_bytes([model])
        one = _part(observer, before / total, (before + size) / total)
        with alone(folder, model, one):
            if state_of(model, folder) != PRESENT:
                _obtain(model, folder, one, way)
        before += size


def _obtain(model: Model, folder: Path, observer: Observer, way: Way) -> None:
    check_space(folder, round(_SPACE * download_bytes([model])), f"Getting {model.folder}")
    path = work_path(folder, model, ".zip")
    origin = download_archive(model, path, _part(observer, 0, _DOWNLOAD_SHARE), way)
    try:
        install_archive(path, model, folder, _part(observer, _DOWNLOAD_SHARE, 1), origin)
    finally:
        path.unlink(missing_ok=True)


def _part(observer: Observer, start: float, end: float) -> Observer:
    """The same observer for a part of the work, given by shares of the whole."""
    return replace(
        observer,
        on_step=lambda share, text: observer.on_step(start + (end - start) * share, text),
    )


def download_archive(model: Model, target: Path, observer: Observer, way: Way) -> Origin:
    """Download a model's archive and check it.

    Where no checksum is published, that of the first download from where the archive is published
    holds for all later ones.

    :raises SetupError: see :func:`~..network.download`; ``weights.untrusted_mirror``,
        ``licence.missing``, ``licence.refused``.
    :raises CancelledError: if the observer says so.
    """
    published = archive(model)
    if published is None:
        return _download_licensed(model, target, observer, way)
    expected = expected_sha256(published)
    url = f"{way.mirror or PUBLISHED}/{published.key}"
    if way.mirror and not expected and not way.trust_mirror:
        raise SetupError(
            "weights.untrusted_mirror",
            f"For {published.file} no checksum is published, so what {host_of(url)} sends cannot "
            "be checked.",
            "Download it without the mirror, or trust the mirror with this file.",
        )
    title = f"the weights {model.folder}"
    size = published.size_bytes
    sha256 = download(url, target, title=title, size=size, sha256=expected, observer=observer)
    if not expected and not way.mirror:
        remember_archive(published.key, sha256)
    verified = bool(expected) or not way.mirror
    return Origin(published.file, sha256, host_of(url), verified)


def expected_sha256(published: Archive) -> str:
    """The checksum that an archive must have; empty if nobody knows it."""
    return published.sha256 or known_archive(published.key)


def _download_licensed(model: Model, target: Path, observer: Observer, way: Way) -> Origin:
    """From the authors' own host, which makes the archives for whoever has a number."""
    tasks = [task for task in catalog.tasks() if any(model in m for m in task.speeds.values())]
    check_licence([task.title for task in tasks], way.variables)
    # The host knows a model that two tasks share by the name of the second one.
    wanted = {"task": tasks[-1].id, "version": VERSION}
    wanted["license_number"] = stored_number(way.variables)
    title = f"the weights {model.folder}"
    try:
        sha256 = download(LICENSED, target, title=title, json=wanted, observer=observer)
    except SetupError as error:
        if error.code != "network.refused":
            raise
        raise SetupError(
            "licence.refused",
            f"{host_of(LICENSED)} does not give the weights {model.folder} for the licence number "
            "that is stored.",
            "Check the licence number and whether it is still valid.",
            error.message,
        ) from None
    return Origin(target.name, sha256, host_of(LICENSED), True)
