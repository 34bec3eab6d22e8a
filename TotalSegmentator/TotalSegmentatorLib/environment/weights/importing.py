"""Trained models from the user's own files: archives, and folders as others have unpacked them."""

from __future__ import annotations

from pathlib import Path

from ...catalog import Model, archive
from ...catalog.names import did_you_mean
from ...errors import SetupError
from ..observer import Observer
from .archives import check_archive, opened, sha256_of
from .installing import install_archive, install_folder
from .obtaining import expected_sha256
from .records import Origin
from .store import PRESENT, WeightsEntry, alone, entries, known_models, state_of

# What macOS puts beside the files of an archive.
_IGNORED = "__MACOSX"


def import_weights(
    path: Path, folder: Path, observer: Observer | None = None
) -> tuple[WeightsEntry, ...]:
    """Add models to the weights folder; one that is there as a whole already stays.

    :param path: an archive, the folder of one model, or a folder with several of these.
    :param folder: the weights folder.
    :returns: the models that were found.
    :raises SetupError: ``weights.nothing_to_import``, ``weights.unknown_model``,
        ``weights.unsafe_archive``, ``weights.damaged_archive``, ``weights.unreadable``,
        ``weights.not_writable``, ``disk.full``. No model is there in parts.
    :raises CancelledError: if the observer says so; likewise.
    """
    observer, models = observer or Observer(), set[Model]()
    for source in _sources(path.absolute()):
        if source.is_dir():
            models.add(_import_folder(source, folder, observer))
        else:
            models.update(_import_archive(source, folder, observer))
    return tuple(entry for entry in entries(folder) if entry.model in models)


def _sources(path: Path) -> list[Path]:
    """The archives and model folders at a path."""
    if path.is_file() or path.name in known_models():
        return [path]
    below = sorted(path.iterdir()) if path.is_dir() else []
    found = [one for one in below if one.suffix == ".zip" or one.name.startswith("Dataset")]
    if not found:
        raise SetupError(
            "weights.nothing_to_import",
            f"There are no weights in {path.name}.",
            "Give a zip archive as it is published, or a folder with archives or models.",
        )
    return found


def _import_archive(path: Path, folder: Path, observer: Observer) -> list[Model]:
    with opened(path) as content:  # once: what is checked is what is unpacked
        members = check_archive(content)
        names = dict.fromkeys(member.orig_filename.partition("/")[0] for member in members)
        models = [_model(name, path) for name in names if name != _IGNORED]
        observer.on_step(0.0, f"Checking {path.name}")
        sha256 = sha256_of(content, observer.check)
        origin = Origin(path.name, sha256, "import")
        for model in models:
            one = archive(model)
            published = bool(one and sha256 == expected_sha256(one))
            with alone(folder, model, observer):
                if state_of(model, folder) != PRESENT:
                    install_archive(content, model, folder, observer, origin, published)
    return models


def _import_folder(path: Path, folder: Path, observer: Observer) -> Model:
    model = _model(path.name, path)
    with alone(folder, model, observer):
        if state_of(model, folder) != PRESENT:
            install_folder(path, model, folder, observer)
    return model


def _model(name: str, path: Path) -> Model:
    known = known_models()
    if name not in known:
        raise SetupError(
            "weights.unknown_model",
            f"'{name}' in {path.name} is not the folder of a model of TotalSegmentator.",
            did_you_mean(name, {known: known for known in known})
            or "See the list of weights; a model of your own is run from its own folder.",
            f"Known are: {', '.join(known)}.",
        )
    return known[name]
