"""Trained models from the user's own files: archives, checkpoints, and folders as others have
unpacked them."""

from __future__ import annotations

from pathlib import Path

from ...catalog import Model, archive
from ...catalog.names import did_you_mean
from ...errors import SetupError
from ...jobs.checksums import md5_of, sha256_of
from ..observer import Observer
from .archives import check_archive, opened, sha256_of_open
from .installing import install_archive, install_checkpoint, install_folder
from .obtaining import expected_sha256
from .records import Origin
from .store import PRESENT, WeightsEntry, alone, entries, known_models, state_of

# What macOS puts beside the files of an archive.
_IGNORED = "__MACOSX"
_CHECKPOINT_SUFFIX = ".pt"
# Where checkpoints lie: in a model's folder, in a folder of a bundle, and in folders of these.
_DEPTHS = ("", "*/", "*/*/")


def import_weights(
    path: Path, folder: Path, observer: Observer | None = None
) -> tuple[WeightsEntry, ...]:
    """Add models to the weights folder; one that is there as a whole already stays.

    :param path: an archive or a checkpoint, the folder of one model, a bundle with checkpoints, or
        a folder with several of these.
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
        elif source.suffix == _CHECKPOINT_SUFFIX:
            models.add(_import_checkpoint(source, folder, observer))
        else:
            models.update(_import_archive(source, folder, observer))
    return tuple(entry for entry in entries(folder) if entry.model in models)


def _sources(path: Path) -> list[Path]:
    """The archives, checkpoints and nnU-Net's model folders at a path."""
    known = known_models()
    if path.is_file() or (path.name in known and not known[path.name].checkpoint):
        return [path]
    below = sorted(path.iterdir()) if path.is_dir() else []
    found = [one for one in below if one.suffix == ".zip" or one.name.startswith("Dataset")]
    names = sorted({model.checkpoint for model in known.values()} - {""})
    found += [one for depth in _DEPTHS for name in names for one in sorted(path.glob(depth + name))]
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
        sha256 = sha256_of_open(content, observer.check)
        origin = Origin(path.name, sha256, "import")
        for model in models:
            one = archive(model)
            published = bool(one and sha256 == expected_sha256(one))
            with alone(folder, model, observer):
                if state_of(model, folder) != PRESENT:
                    install_archive(content, model, folder, observer, origin, published)
    return models


def _import_checkpoint(path: Path, folder: Path, observer: Observer) -> Model:
    observer.on_step(0.0, f"Checking {path.name}")
    try:
        md5, sha256 = md5_of(path, observer.check), sha256_of(path, observer.check)
    except OSError as error:
        raise SetupError(
            "weights.unreadable",
            f"{path.name} cannot be read ({error.strerror or error}).",
            "Check that you may read it, then try again.",
            str(error),
        ) from error
    model = _model_of_checkpoint(path, md5)
    one = archive(model)
    published = bool(one and (md5 == one.md5 or sha256 == expected_sha256(one)))
    with alone(folder, model, observer):
        if state_of(model, folder) != PRESENT:
            origin = Origin(path.name, sha256, "import")
            install_checkpoint(path, model, folder, observer, origin, published)
    return model


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


def _model_of_checkpoint(path: Path, md5: str) -> Model:
    """The model whose checkpoint a file is: by its checksum, else by its name and its folders',
    which are those of the model or of the bundle that it is published in."""
    known = {model: archive(model) for model in known_models().values() if model.checkpoint}
    folders = {folder.name for folder in path.parents[:2]}
    for model, one in known.items():
        if one and one.md5 == md5:
            return model
    for model, one in known.items():
        places = {model.folder, *(one.release.split("/")[1:2] if one else ())}
        if path.name == model.checkpoint and not folders.isdisjoint(places):
            return model
    raise SetupError(
        "weights.unknown_model",
        f"Which model {path.name} belongs to is not known: neither its checksum nor its folder is "
        "that of one.",
        "Put it into a folder with the name of its model, or give the file itself to a run (option "
        "weights).",
        f"Known are: {', '.join(f'{model.folder}/{model.checkpoint}' for model in known)}.",
    )
