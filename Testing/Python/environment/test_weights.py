"""Which models are there as a whole, what is noted of them, and removing them."""

from __future__ import annotations

import errno
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.weights_files import put_model

from TotalSegmentatorLib import catalog, environment
from TotalSegmentatorLib.environment import UserSettings, network, save_settings, weights
from TotalSegmentatorLib.environment.weights import records, store
from TotalSegmentatorLib.errors import SetupError

MODELS = catalog.task("total").required_models("normal")


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch) -> Path:
    """The user's folders during a test."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("HOME", "USERPROFILE", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(folder))
    return folder


def test_total_needs_five_models():
    assert [model.dataset_id for model in MODELS] == [291, 292, 293, 294, 295]


def test_what_is_missing_is_named(tmp_path):
    put_model(tmp_path, MODELS[0])
    assert environment.missing_models(MODELS, tmp_path) == MODELS[1:]


DAMAGES = ["plans.json", "dataset.json", "cut", "empty", "no checkpoint"]


def damage(checkpoint: Path, how: str) -> None:
    if how == "cut":
        checkpoint.write_bytes(checkpoint.read_bytes()[:5_000])
    elif how == "empty":
        checkpoint.write_bytes(b"")
    elif how == "no checkpoint":
        checkpoint.unlink()
    else:
        (checkpoint.parents[1] / how).unlink()


@pytest.mark.parametrize("how", DAMAGES)
def test_half_unzipped_model_is_damaged(tmp_path, how):
    damage(put_model(tmp_path, MODELS[0]), how)
    assert store.state_of(MODELS[0], tmp_path) == "damaged"
    assert environment.missing_models(MODELS[:1], tmp_path) == MODELS[:1]
    (finding,) = weights.verify(tmp_path, MODELS)
    assert (finding.state, finding.repair) == ("error", "download_weights")


def test_every_fold_must_be_there(tmp_path):
    (model,) = catalog.task("aorta_annulus").speeds["normal"]
    checkpoint = put_model(tmp_path, model)
    assert store.state_of(model, tmp_path) == "present"
    (checkpoint.parents[1] / "fold_4" / checkpoint.name).unlink()
    assert store.state_of(model, tmp_path) == "damaged"


def test_every_model_of_every_task_is_listed(tmp_path):
    put_model(tmp_path, MODELS[1])
    found = {entry.model: entry for entry in weights.entries(tmp_path)}
    for task in catalog.tasks():
        for model in (model for models in task.speeds.values() for model in models):
            if model.release or task.licensed:
                assert task.id in found[model].tasks
                assert found[model].licensed == task.licensed == (not found[model].archive)
    assert all(entry.archive or entry.licensed for entry in found.values())
    there = [entry for entry in found.values() if entry.state == "present"]
    assert [entry.model for entry in there] == [MODELS[1]]
    assert 10_000 < there[0].size_bytes < 20_000 and not there[0].verified  # of others
    assert found[MODELS[0]].size_bytes == catalog.archive(MODELS[0]).size_bytes
    (face,) = catalog.task("face").speeds["normal"]
    assert found[face].size_bytes == 0


def test_weights_of_others_are_told_from_published_ones(tmp_path):
    checkpoint = put_model(tmp_path, MODELS[0])
    place = tmp_path / MODELS[0].folder
    (finding,) = weights.verify(tmp_path, MODELS)
    assert finding.state == "warning" and "is unknown" in finding.message
    files = records.file_sums(place)
    records.write_record(records.Origin("file.zip", "0" * 64, "github.com"), files, place)
    assert not weights.entries(tmp_path)[0].verified  # whatever it says
    records.remember_files(MODELS[0].folder, files)
    (place / ".DS_Store").write_text("as Macs add it")
    (finding,) = weights.verify(tmp_path, MODELS)
    assert finding.state == "ok" and weights.entries(tmp_path)[0].verified
    original = checkpoint.read_bytes()
    content = bytearray(original)
    content[5000] ^= 1  # as a bad disk does: the file is as long as it was
    checkpoint.write_bytes(content)
    assert [one.state for one in weights.verify(tmp_path, MODELS)] == ["error"]
    assert store.state_of(MODELS[0], tmp_path) == "damaged"
    checkpoint.write_bytes(original)
    assert [one.state for one in weights.verify(tmp_path, MODELS)] == ["ok"]
    assert store.state_of(MODELS[0], tmp_path) == "present"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"archive": "x"}', "\0", '{"checkpoints": 3}'])
def test_a_bad_record_is_none(tmp_path, text):
    put_model(tmp_path, MODELS[0])
    (tmp_path / MODELS[0].folder / "weights.json").write_text(text)
    assert not weights.entries(tmp_path)[0].verified


@pytest.mark.parametrize("text", ["", "[]", '{"archives": [], "models": 3}'])
def test_a_bad_list_of_checksums_is_empty(text):
    path = records.known_file()
    path.parent.mkdir()
    path.write_text(text)
    assert records.known_archive("release/file.zip") == ""
    assert not records.are_published("Dataset1", {"plans.json": "34"})
    records.remember_archive("release/file.zip", "12")
    records.remember_files("Dataset1", {"plans.json": "34"})
    assert json.loads(path.read_text()) == {
        "archives": {"release/file.zip": "12"},
        "models": {"Dataset1": {"plans.json": "34"}},
    }
    assert records.are_published("Dataset1", {"plans.json": "34"})


def test_a_list_that_cannot_be_read_stays_as_it_is(monkeypatch):
    records.remember_archive("release/file.zip", "12")
    before = records.known_file().read_bytes()

    def held(*arguments: object) -> str:
        raise PermissionError(errno.EACCES, "Sharing violation")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", held)
        records.remember_archive("release/other.zip", "34")
    assert records.known_file().read_bytes() == before


def test_of_many_that_note_something_at_once_none_is_lost():
    names = [f"Dataset{number}" for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: records.remember_files(name, {"plans.json": "1"}), names))
    assert all(records.are_published(name, {"plans.json": "1"}) for name in names)


def test_without_a_home_nothing_is_known_and_nothing_fails(monkeypatch):
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(records, "user_data_folder", nowhere)
    records.remember_archive("release/file.zip", "12")
    assert records.known_archive("release/file.zip") == ""


def test_download_needs_consent(tmp_path):
    with pytest.raises(SetupError) as caught:
        environment.check_weights(MODELS, tmp_path, may_download=False)
    assert caught.value.code == "weights.missing"
    assert caught.value.remedy.startswith("Allow the download, or")
    assert "--" not in caught.value.remedy  # the panel shows it too


def test_offline_is_known_before_the_start(tmp_path, monkeypatch):
    def refuse(*arguments: object) -> None:
        raise OSError

    monkeypatch.setattr(network, "getproxies", dict)
    monkeypatch.setattr(network.socket, "create_connection", refuse)
    monkeypatch.setattr(network, "_ONLINE_TIMEOUT_S", 0.1)
    with pytest.raises(SetupError) as caught:
        environment.check_weights(MODELS, tmp_path, may_download=True)
    assert caught.value.code == "weights.offline"
    assert "proxy" in caught.value.remedy
    save_settings(UserSettings(weights_mirror="http://mirror.example.org"))  # may be near
    assert environment.check_weights(MODELS, tmp_path, may_download=True) == MODELS


def test_what_must_be_got_is_returned(tmp_path, monkeypatch):
    asked: list[str] = []
    monkeypatch.setattr(store, "is_online", lambda purpose: asked.append(purpose) or True)
    put_model(tmp_path, MODELS[0])
    assert environment.check_weights(MODELS, tmp_path, may_download=True) == MODELS[1:]
    (face,) = catalog.task("face").speeds["normal"]
    assert environment.check_weights([face], tmp_path, may_download=True) == (face,)
    assert asked == ["weights", "licensed_weights"]
    assert environment.check_weights(MODELS[:1], tmp_path, may_download=False) == ()


def test_a_folder_that_may_not_be_read_is_told_in_one_sentence(tmp_path, monkeypatch):
    checkpoint = put_model(tmp_path, MODELS[0])

    def refuse(*arguments: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(checkpoint))

    monkeypatch.setattr(store, "_has_end", refuse)
    with pytest.raises(SetupError) as caught:
        environment.check_weights(MODELS[:1], tmp_path, may_download=True)
    assert caught.value.code == "weights.unreadable"
    assert "Permission denied" in caught.value.message and str(tmp_path) not in str(caught.value)
    assert MODELS[0].folder in caught.value.message


def test_a_model_that_may_not_be_read_hides_no_other(tmp_path, monkeypatch):
    for model in MODELS[:2]:
        put_model(tmp_path, model)
    is_whole = store.is_whole

    def refuse(model: object, place: Path) -> bool:
        if model == MODELS[0]:
            raise PermissionError(errno.EACCES, "Permission denied")
        return is_whole(model, place)

    monkeypatch.setattr(store, "is_whole", refuse)
    assert [one.state for one in weights.entries(tmp_path)[:2]] == ["damaged", "present"]
    findings = weights.verify(tmp_path, MODELS)
    assert [one.state for one in findings] == ["error", "warning"]
    assert "Permission denied" in findings[0].message


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"TOTALSEG_WEIGHTS_PATH": "/w", "TOTALSEG_HOME_DIR": "/h"}, Path("/w")),
        ({"TOTALSEG_HOME_DIR": "/h"}, Path("/h/nnunet/results")),
        ({}, Path("HOME/.totalsegmentator/nnunet/results")),
    ],
)
def test_folder_follows_the_official_package(variables, expected, home):
    parts = [str(home) if part == "HOME" else part for part in expected.parts]
    assert environment.weights_folder(variables) == Path(*parts)


def test_folder_that_the_user_has_set():
    save_settings(UserSettings(weights_folder="/mine"))
    assert environment.weights_folder({}) == Path("/mine")
    assert environment.weights_folder({"TOTALSEG_HOME_DIR": "/h"}) == Path("/mine")
    assert environment.weights_folder({"TOTALSEG_WEIGHTS_PATH": "/w"}) == Path("/w")


def test_removed_models_are_gone_and_others_stay(tmp_path):
    for model in MODELS[:2]:
        put_model(tmp_path, model)
    part = store.archive_path(MODELS[2], tmp_path, mirror=False).with_suffix(".zip.part")
    killed = store.work_path(tmp_path, MODELS[2], ".new") / "plans.json"
    for path in (part, killed):
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(3000))
    freed = weights.remove([MODELS[0], MODELS[2], MODELS[3]], tmp_path)
    assert 16_000 < freed < 26_000 and not killed.exists()
    assert environment.missing_models(MODELS[:2], tmp_path) == (MODELS[0],)
    assert not (tmp_path / MODELS[0].folder).exists() and not part.exists()


def test_a_model_that_cannot_be_removed_stays_whole(tmp_path, monkeypatch):
    put_model(tmp_path, MODELS[0])

    def refuse(*arguments: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(store.os, "replace", refuse)
    with pytest.raises(SetupError) as caught:
        weights.remove(MODELS, tmp_path)
    assert caught.value.code == "weights.not_writable"
    assert store.state_of(MODELS[0], tmp_path) == "present"


def test_downloads_are_summed_up_once_each():
    sizes = [catalog.archive(model).size_bytes for model in MODELS]
    assert environment.download_bytes([*MODELS, MODELS[0]]) == sum(sizes)
    assert environment.download_mb(MODELS) == 1170
    assert environment.download_mb(()) == 0


def test_weights_without_a_public_archive_count_as_typical_ones():
    (model,) = catalog.task("face").speeds["normal"]
    assert catalog.archive(model) is None
    assert environment.download_bytes([model]) == catalog.TYPICAL_BYTES
