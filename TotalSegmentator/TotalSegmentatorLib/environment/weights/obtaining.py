"""Downloading trained models, from where they are published or from a mirror."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...catalog import Archive, Model, archive
from ...errors import SetupError
from ...jobs.checksums import md5_of, sha256_of
from ..hosts import hosts
from ..licence import check_licence, stored_number
from ..network import check_space, download, host_of
from ..observer import Observer
from ..sample_data import VERSION
from ..settings import load_settings
from ..terms import check_terms
from .archives import opened
from .installing import install_archive, install_checkpoint
from .records import Origin, known_archive, remember_archive
from .store import (
    alone,
    archive_path,
    clean,
    download_bytes,
    missing_models,
    own_folder,
    tasks_of,
)

#: Where TotalSegmentator's archives are published, and where those are for which a licence number
#: is needed.
PUBLISHED = "https://github.com/wasserth/TotalSegmentator/releases/download"
LICENSED = "https://backend.totalsegmentator.com:443/download_weights"
# What these archives are got for, see ``hosts.json``; a mirror has no others.
_OF_TOTALSEGMENTATOR = "weights"
# What is in an archive takes hardly more than the archive.
_MODEL_SPACE = 1.2
# What its host says about a number; 200: a message instead of a file.
_NUMBER_REFUSED = ("HTTP 200", "HTTP 401", "HTTP 402", "HTTP 403")
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

    def mirror_of(self, one: Archive | None) -> str:
        """The mirror that an archive is got from; empty if none has it.

        :param one: None for weights that need a licence number.
        """
        return self.mirror if one and one.purpose == _OF_TOTALSEGMENTATOR else ""


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
    missing = missing_models(tuple(dict.fromkeys(models)), folder)
    total, before, own = download_bytes(missing), 0, own_folder(folder)
    for model in missing:
        size = download_bytes([model])
        one = observer.part(before / total, (before + size) / total)
        with alone(own, model, one), alone(folder, model, one):
            if missing_models([model], folder):
                _obtain(model, folder, one, way)
            clean(model, folder)
        before += size


def _obtain(model: Model, folder: Path, observer: Observer, way: Way) -> None:
    one = archive(model)
    mirror = way.mirror_of(one)
    path = archive_path(model, folder, bool(mirror))
    path.parent.mkdir(parents=True, exist_ok=True)
    on_one_disk = path.parent.stat().st_dev == folder.stat().st_dev
    space = _MODEL_SPACE + (0 if path.exists() or not on_one_disk else 1)
    check_space(folder, round(space * download_bytes([model])), f"Getting {model.folder}")
    published = not mirror or bool(one and expected_sha256(one))
    origin = download_archive(model, path, observer.part(0, _DOWNLOAD_SHARE), way)
    unpacking = observer.part(_DOWNLOAD_SHARE, 1)
    try:
        if model.checkpoint:
            install_checkpoint(path, model, folder, unpacking, origin, published)
        else:
            with opened(path) as content:
                install_archive(content, model, folder, unpacking, origin, published)
    except SetupError as error:
        if error.code.startswith("weights."):  # else it is as good as before
            path.unlink(missing_ok=True)
        raise
    if one and published:
        remember_archive(one.key, origin.sha256)


def download_archive(model: Model, target: Path, observer: Observer, way: Way) -> Origin:
    """Download a model's archive or checkpoint, unless an earlier call has left it there, and check
    it.

    Where no SHA-256 is published, that of the first archive which came from where it is published
    and held the model holds for all later ones.

    :raises SetupError: see :func:`~..network.download`; ``weights.untrusted_mirror``,
        ``licence.missing``, ``licence.refused``, ``licence.not_accepted``.
    :raises CancelledError: if the observer says so.
    """
    published = archive(model)
    if published is None:
        return _download_licensed(model, target, observer, way)
    check_terms(tasks_of(model))
    expected, mirror = expected_sha256(published), way.mirror_of(published)
    url = f"{mirror or _home(published)}/{published.key}"
    if mirror and not expected and not way.trust_mirror:
        raise SetupError(
            "weights.untrusted_mirror",
            f"For {published.file} no checksum is published, so what {host_of(url)} sends cannot "
            "be checked.",
            "Download it without the mirror, or trust the mirror with this file.",
        )
    title = f"the weights {model.folder}"
    # Of a checkpoint, the catalogue knows no more than about how large it is.
    size = 0 if published.is_checkpoint else published.size_bytes
    sha256 = _download(url, target, title=title, size=size, sha256=expected, observer=observer)
    if published.md5 and published.md5 != md5_of(target, observer.check):
        target.unlink()
        raise SetupError(
            "network.wrong_file",
            f"What {host_of(url)} sent as {title} is not the expected one: its checksum is "
            "another.",
            "Try again, or import a file from another computer.",
        )
    return Origin(published.file, sha256, host_of(url))


def _home(published: Archive) -> str:
    """Where an archive is published, without its release."""
    if published.purpose == _OF_TOTALSEGMENTATOR:
        return PUBLISHED
    return f"https://{hosts(published.purpose)[0]}"


def _download(url: str, target: Path, sha256: str = "", **options: Any) -> str:
    """As :func:`~..network.download`, unless the file is there."""
    if target.exists():
        digest = sha256_of(target, options["observer"].check)
        if sha256 in ("", digest):
            return digest
    return download(url, target, sha256=sha256, **options)


def expected_sha256(published: Archive) -> str:
    """The SHA-256 that an archive must have; empty if nobody knows it."""
    return published.sha256 or known_archive(published.key)


def _download_licensed(model: Model, target: Path, observer: Observer, way: Way) -> Origin:
    """From the authors' own host, which makes the archives for whoever has a number."""
    tasks = tasks_of(model)
    check_licence([task.title for task in tasks], way.variables)
    # The host knows a model that two tasks share by the name of the second one.
    wanted = {"task": tasks[-1].id, "version": VERSION}
    wanted["license_number"] = stored_number(way.variables)
    title = f"the weights {model.folder}"
    try:
        sha256 = _download(LICENSED, target, title=title, json=wanted, observer=observer)
    except SetupError as error:
        if error.code != "network.refused" or error.details not in _NUMBER_REFUSED:
            raise
        raise SetupError(
            "licence.refused",
            f"{host_of(LICENSED)} does not give the weights {model.folder} for the licence number "
            "that is stored.",
            "Check the licence number and whether it is still valid.",
            error.message,
        ) from None
    return Origin(target.name, sha256, host_of(LICENSED))
