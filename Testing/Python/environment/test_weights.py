"""Knowing early whether weights are there as a whole."""

from __future__ import annotations

import errno
import socket
import zipfile
from pathlib import Path

import pytest

from TotalSegmentatorLib import catalog, environment
from TotalSegmentatorLib.environment import weights
from TotalSegmentatorLib.errors import SetupError

MODELS = catalog.task("total").required_models("normal")


def put_model(folder: Path, model: catalog.Model) -> Path:
    """A folder that looks like a downloaded model; returns its checkpoint."""
    place = folder / model.folder / model.subfolder
    (place / "fold_0").mkdir(parents=True)
    for name in ("plans.json", "dataset.json"):
        (place / name).write_text("{}")
    checkpoint = place / "fold_0" / "checkpoint_final.pth"
    with zipfile.ZipFile(checkpoint, "w") as archive:
        archive.writestr("archive/data.pkl", bytes(100_000))
    return checkpoint


def test_total_needs_five_models():
    assert [model.dataset_id for model in MODELS] == [291, 292, 293, 294, 295]


def test_what_is_missing_is_named(tmp_path):
    put_model(tmp_path, MODELS[0])
    assert environment.missing_models(MODELS, tmp_path) == MODELS[1:]


@pytest.mark.parametrize("damage", ["plans.json", "dataset.json", "cut", "empty", "no checkpoint"])
def test_half_unzipped_model_is_not_there(tmp_path, damage):
    checkpoint = put_model(tmp_path, MODELS[0])
    if damage == "cut":
        checkpoint.write_bytes(checkpoint.read_bytes()[:50_000])
    elif damage == "empty":
        checkpoint.write_bytes(b"")
    elif damage == "no checkpoint":
        checkpoint.unlink()
    else:
        (checkpoint.parents[1] / damage).unlink()
    assert not weights.is_present(MODELS[0], tmp_path)


def test_download_needs_consent(tmp_path):
    with pytest.raises(SetupError) as caught:
        environment.check_weights(MODELS, tmp_path, may_download=False)
    assert caught.value.code == "weights.missing"
    assert caught.value.remedy.startswith("Allow the download, or")
    assert "--" not in caught.value.remedy  # the panel shows it too


def test_offline_is_known_before_the_start(tmp_path, monkeypatch):
    def refuse(*arguments: object) -> None:
        raise OSError

    monkeypatch.setattr(weights, "getproxies", dict)
    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(SetupError) as caught:
        environment.check_weights(MODELS, tmp_path, may_download=True)
    assert caught.value.code == "weights.offline"
    assert "proxy" in caught.value.remedy


def test_damaged_model_is_set_aside_for_the_download(tmp_path, monkeypatch):
    checkpoint = put_model(tmp_path, MODELS[0])
    checkpoint.write_bytes(b"")
    monkeypatch.setattr(weights, "is_online", lambda purpose: True)
    environment.check_weights(MODELS[:1], tmp_path, may_download=True)
    assert [path.name for path in tmp_path.iterdir()] == [MODELS[0].folder + ".damaged1"]


@pytest.mark.parametrize("what", ["open", "rename"])
def test_a_folder_that_may_not_be_used_is_told_in_one_sentence(tmp_path, monkeypatch, what):
    checkpoint = put_model(tmp_path, MODELS[0])
    if what == "rename":
        checkpoint.write_bytes(b"")

    def refuse(*arguments: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(checkpoint))

    monkeypatch.setattr(weights, "is_online", lambda purpose: True)
    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(weights, "_is_whole", refuse if what == "open" else lambda path: False)
    with pytest.raises(SetupError) as caught:
        environment.check_weights(MODELS[:1], tmp_path, may_download=True)
    assert caught.value.code == "weights.unreadable"
    assert "Permission denied" in caught.value.message and str(tmp_path) not in str(caught.value)
    assert MODELS[0].folder in caught.value.message


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"TOTALSEG_WEIGHTS_PATH": "/w", "TOTALSEG_HOME_DIR": "/h"}, Path("/w")),
        ({"TOTALSEG_HOME_DIR": "/h"}, Path("/h/nnunet/results")),
        ({}, Path.home() / ".totalsegmentator" / "nnunet" / "results"),
    ],
)
def test_folder_follows_the_official_package(variables, expected):
    assert environment.weights_folder(variables) == expected


def test_downloads_are_summed_up_once_each():
    sizes = [catalog.archive(model).size_bytes for model in MODELS]
    assert environment.download_bytes([*MODELS, MODELS[0]]) == sum(sizes)
    assert environment.download_mb(MODELS) == 1170
    assert environment.download_mb(()) == 0


def test_weights_without_a_public_archive_count_as_typical_ones():
    (model,) = catalog.task("face").speeds["normal"]
    assert catalog.archive(model) is None
    assert environment.download_bytes([model]) == catalog.TYPICAL_BYTES
