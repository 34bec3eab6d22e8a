"""Models that are one file, of networks that are not nnU-Net's: got, imported, checked, bundled."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.fault_table import note
from support.faulty_server import Fault, FaultyServer, faulty_server
from support.weights_files import checkpoint_bytes, put_model, zipped

from TotalSegmentatorLib import catalog, environment
from TotalSegmentatorLib.catalog import Archive, Model
from TotalSegmentatorLib.environment import (
    Observer,
    UserSettings,
    bundle,
    network,
    save_settings,
    terms,
    weights,
)
from TotalSegmentatorLib.environment.weights import installing, obtaining, store
from TotalSegmentatorLib.errors import CancelledError, InputError, SetupError

# An MD5 is published of the first two, nothing of the third, which has terms to be accepted.
WHOLE, LOW = (catalog.task("wholebody_ct").speeds[speed][0] for speed in ("normal", "fast"))
(NV,) = catalog.task("nv_ct_body").speeds["normal"]
MODELS = (WHOLE, LOW, NV)


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch) -> Path:
    """The user's folders during a test, and no pause between tries."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("HOME", "USERPROFILE", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(folder))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    defaults = {**network.download.__kwdefaults__, "pauses_s": (0.01,), "timeout_s": 2.0}
    monkeypatch.setattr(network.download, "__kwdefaults__", defaults)
    return folder


@pytest.fixture
def contents(monkeypatch) -> dict[Model, bytes]:
    """What is published in place of the models; the catalogue knows only about how large it is."""
    found = {model: checkpoint_bytes() for model in MODELS}
    table = {}
    for model, content in found.items():
        md5 = "" if model is NV else hashlib.md5(content).hexdigest()
        one = Archive(0, model.release, model.checkpoint, 10_000, "", md5, "monai_weights")
        table[one.release, one.file] = one
    monkeypatch.setattr(catalog.weights, "_table", lambda: table)
    return found


@pytest.fixture
def server(contents, monkeypatch) -> Iterator[FaultyServer]:
    """Publishes the models."""
    with faulty_server() as found:
        found.files = {path_of(model): content for model, content in contents.items()}
        monkeypatch.setattr(obtaining, "_home", lambda one: found.url)
        yield found


def path_of(model: Model) -> str:
    return f"/{catalog.archive(model).key}"


def listing(folder: Path) -> list[str]:
    """What is in a weights folder, but for locks."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    )


def entry(model: Model, folder: Path) -> weights.WeightsEntry:
    return next(one for one in weights.entries(folder) if one.model == model)


def test_where_they_are_published():
    urls = [f"{obtaining._home(one)}/{one.key}" for one in map(catalog.archive, MODELS)]
    whole = "https://huggingface.co/MONAI/wholeBody_ct_segmentation/resolve/0.2.5/models"
    assert urls[:2] == [f"{whole}/model.pt", f"{whole}/model_lowres.pt"]
    assert urls[2].startswith("https://huggingface.co/nvidia/NV-Segment-CTMR/resolve/main/")
    archive = catalog.archive(catalog.task("body").speeds["normal"][0])
    assert obtaining._home(archive) == obtaining.PUBLISHED


def test_they_are_there_as_a_whole_and_nothing_else(server, tmp_path):
    steps: list[tuple[float, str]] = []
    weights.obtain((WHOLE, LOW), tmp_path, Observer(lambda *step: steps.append(step)))
    assert [seen.path for seen in server.seen] == [path_of(WHOLE), path_of(LOW)]
    assert listing(tmp_path) == sorted(
        f"{model.folder}/{name}"
        for model in (WHOLE, LOW)
        for name in (model.checkpoint, "weights.json")
    )
    place = tmp_path / WHOLE.folder / WHOLE.checkpoint
    assert place.read_bytes() == server.files[path_of(WHOLE)]
    assert entry(WHOLE, tmp_path).verified and entry(LOW, tmp_path).verified
    assert [one.state for one in weights.verify(tmp_path, MODELS)] == ["ok", "ok"]
    shares = [share for share, _ in steps]
    assert shares == sorted(shares) and shares[-1] == 1
    weights.obtain((WHOLE, LOW), tmp_path)
    assert len(server.seen) == 2


def test_another_file_than_the_published_one_is_refused(server, tmp_path):
    good = server.files[path_of(WHOLE)]
    server.files[path_of(WHOLE)] = checkpoint_bytes()
    with pytest.raises(SetupError) as caught:
        weights.obtain((WHOLE,), tmp_path)
    note("Weights: checkpoint with another MD5", caught.value)
    assert caught.value.code == "network.wrong_file" and WHOLE.folder in caught.value.message
    assert listing(tmp_path) == []
    server.files[path_of(WHOLE)] = good
    weights.obtain((WHOLE,), tmp_path)
    assert entry(WHOLE, tmp_path).verified


def test_the_first_download_says_what_later_ones_must_be(server, tmp_path):
    """Of this model no checksum is published, and only about its size is known."""
    terms.accept("nv-segment-ctmr")
    weights.obtain((NV,), tmp_path)
    assert entry(NV, tmp_path).verified
    shutil.rmtree(tmp_path / NV.folder)
    good = server.files[path_of(NV)]
    server.files[path_of(NV)] = checkpoint_bytes()
    with pytest.raises(SetupError) as caught:
        weights.obtain((NV,), tmp_path)
    assert caught.value.code == "network.wrong_file" and listing(tmp_path) == []
    server.files[path_of(NV)] = good
    weights.obtain((NV,), tmp_path)
    assert entry(NV, tmp_path).state == "present"


def test_nobody_is_asked_before_the_terms_are_accepted(server, tmp_path):
    with pytest.raises(SetupError) as caught:
        weights.obtain((NV,), tmp_path)
    note("Weights: terms that were not accepted", caught.value)
    assert caught.value.code == "licence.not_accepted" and server.seen == []
    terms.accept("nv-segment-ctmr")
    weights.obtain((NV,), tmp_path)
    assert entry(NV, tmp_path).state == "present"


def test_a_text_is_no_checkpoint(server, tmp_path):
    terms.accept("nv-segment-ctmr")
    server.files[path_of(NV)] = b"version https://git-lfs.github.com/spec/v1"
    with pytest.raises(SetupError) as caught:
        weights.obtain((NV,), tmp_path)
    note("Weights: a text instead of a checkpoint", caught.value)
    assert caught.value.code == "weights.damaged_archive" and listing(tmp_path) == []


def test_a_mirror_of_other_weights_is_not_asked(server, tmp_path):
    save_settings(UserSettings(weights_mirror="http://127.0.0.1:9/mirror"))
    weights.obtain((WHOLE,), tmp_path)
    assert entry(WHOLE, tmp_path).verified


def test_a_download_goes_on_in_the_next_run(server, tmp_path):
    server.faults = [Fault(cut=0), Fault(cut=0)]
    with pytest.raises(SetupError) as caught:
        weights.obtain((WHOLE,), tmp_path)
    assert caught.value.code == "network.broken_off"
    weights.obtain((WHOLE,), tmp_path)
    assert entry(WHOLE, tmp_path).verified


def test_a_cancelled_copy_leaves_nothing(server, tmp_path, monkeypatch):
    monkeypatch.setattr(installing, "_BLOCK_BYTES", 1000)
    asked: list[str] = []

    def on_step(share: float, text: str) -> None:
        asked.extend([text] if text.startswith("Copying") else [])

    with pytest.raises(CancelledError):
        weights.obtain((WHOLE,), tmp_path, Observer(on_step, cancelled=lambda: bool(asked)))
    assert listing(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "state"),
    [
        (checkpoint_bytes(), "present"),
        (b"\x80\x02 as older PyTorch wrote", "present"),
        (checkpoint_bytes()[:5_000], "damaged"),
        (b"", "damaged"),
        (b"<html>Please log in</html>", "damaged"),
        (None, "damaged"),
    ],
    ids=["zip", "pickle", "cut", "empty", "page", "no file"],
)
def test_states(tmp_path, content, state):
    assert store.state_of(WHOLE, tmp_path) == "missing"
    path = tmp_path / WHOLE.folder / WHOLE.checkpoint
    path.parent.mkdir()
    if content is not None:
        path.write_bytes(content)
    assert store.state_of(WHOLE, tmp_path) == state
    assert environment.missing_models(MODELS, tmp_path)[0] == (LOW if state == "present" else WHOLE)


def test_a_changed_file_is_found_and_got_again(server, tmp_path):
    weights.obtain((WHOLE,), tmp_path)
    path = tmp_path / WHOLE.folder / WHOLE.checkpoint
    content = bytearray(path.read_bytes())
    content[500] ^= 0xFF
    path.write_bytes(content)
    assert [one.state for one in weights.verify(tmp_path, (WHOLE,))] == ["error"]
    weights.obtain((WHOLE,), tmp_path)
    assert [one.state for one in weights.verify(tmp_path, (WHOLE,))] == ["ok"]


def test_removing_leaves_the_others(server, tmp_path):
    weights.obtain((WHOLE, LOW), tmp_path)
    assert weights.remove((WHOLE,), tmp_path) > 10_000
    assert environment.missing_models((WHOLE, LOW), tmp_path) == (WHOLE,)


def test_their_own_host_must_answer(tmp_path, monkeypatch):
    asked: list[str] = []
    monkeypatch.setattr(store, "is_online", lambda purpose: asked.append(purpose) or True)
    save_settings(UserSettings(weights_mirror="http://mirror.example.org"))
    environment.check_weights(MODELS, tmp_path, may_download=True)
    assert asked == ["monai_weights"]


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def import_to(tmp_path) -> Callable[[Path], tuple[weights.WeightsEntry, ...]]:
    return lambda path: weights.import_weights(path, tmp_path / "w")


def test_a_file_is_known_by_its_md5_whatever_its_name(contents, tmp_path, import_to):
    (found,) = import_to(put(tmp_path / "Downloads" / "model (1).pt", contents[LOW]))
    assert found.model == LOW and found.state == "present" and found.verified


# Where people have the files -> which of them is found there.
PLACES = {
    f"{WHOLE.folder}/model.pt": WHOLE,
    "wholeBody_ct_segmentation/models/model.pt": WHOLE,
    "wholeBody_ct_segmentation/models/model_lowres.pt": LOW,
    "NV-Segment-CTMR/vista3d_pretrained_model/model.pt": NV,
    "NV-Segment-CTMR/models/model.pt": NV,
}


@pytest.mark.parametrize("given", ["file", "folder", "folder of folders"])
@pytest.mark.parametrize("place", PLACES)
def test_other_files_are_known_by_their_folders(contents, tmp_path, import_to, place, given):
    path = put(tmp_path / "given" / place, checkpoint_bytes())
    whole = {"file": path, "folder": tmp_path / "given" / place.partition("/")[0]}
    (found,) = import_to(whole.get(given, tmp_path / "given"))
    assert found.model == PLACES[place] and found.state == "present" and not found.verified


def test_a_bundle_and_archives_are_imported_together(contents, tmp_path, import_to):
    given = tmp_path / "given"
    models = given / "wholeBody_ct_segmentation" / "models"
    put(models / "model.pt", contents[WHOLE])
    put(models / "model_lowres.pt", contents[LOW])
    put(models / "model_trained_here.pt", checkpoint_bytes())  # not one of the catalogue
    put(given / "nv.zip", zipped({f"{NV.folder}/{NV.checkpoint}": contents[NV]}))
    found = {one.model: one.verified for one in import_to(given)}
    assert found == {WHOLE: True, LOW: True, NV: False}


def test_what_is_there_stays_in_an_import(contents, tmp_path, import_to):
    before = put_model(tmp_path / "w", WHOLE).read_bytes()
    import_to(put(tmp_path / "model.pt", contents[WHOLE]))
    assert (tmp_path / "w" / WHOLE.folder / WHOLE.checkpoint).read_bytes() == before


@pytest.mark.parametrize(
    ("place", "content", "code", "words"),
    [
        ("mine/model.pt", b"PK\x03\x04", "weights.unknown_model", "Which model model.pt belongs"),
        (f"{WHOLE.folder}/best.pt", b"PK\x03\x04", "weights.unknown_model", "best.pt"),
        (f"{WHOLE.folder}/model.pt", b"PK\x03\x04", "weights.damaged_archive", WHOLE.folder),
    ],
    ids=["unknown folder", "unknown name", "damaged"],
)
def test_what_cannot_be_imported_is_told(tmp_path, import_to, request, place, content, code, words):
    with pytest.raises(SetupError) as caught:
        import_to(put(tmp_path / place, content))
    note(f"Weights: import of a checkpoint, {request.node.callspec.id}", caught.value)
    assert caught.value.code == code and words in caught.value.message
    assert str(tmp_path) not in str(caught.value)
    if code == "weights.unknown_model":
        assert "option weights" in caught.value.remedy
        assert f"{NV.folder}/{NV.checkpoint}" in caught.value.details
    assert listing(tmp_path / "w") == []


def test_a_bundle_without_accepted_terms_holds_no_weights(tmp_path):
    put_model(tmp_path / "w", NV)
    assert bundle.may_hold(WHOLE) and not bundle.may_hold(NV)
    with pytest.raises(InputError) as caught:
        bundle.create(tmp_path / "b.zip", None, [NV], tmp_path / "w")
    assert caught.value.code == "input.empty_bundle" and not (tmp_path / "b.zip").exists()


def test_a_bundle_brings_them(server, tmp_path):
    """One is on this computer, the other is downloaded."""
    terms.accept("nv-segment-ctmr")
    put_model(tmp_path / "w", NV)
    steps: list[float] = []
    observer = Observer(lambda share, text: steps.append(share))
    made = bundle.create(tmp_path / "b.zip", None, [NV, WHOLE], tmp_path / "w", observer)
    names = sorted(f"weights/{model.folder}.zip" for model in (NV, WHOLE))
    assert [member.name for member in made.members] == names
    assert steps == sorted(steps) and environment.missing_models([WHOLE], tmp_path / "w")
    done = bundle.install(tmp_path / "b.zip", tmp_path / "there")
    assert {one.model: one.state for one in done.weights} == {NV: "present", WHOLE: "present"}
    there = tmp_path / "there" / WHOLE.folder / WHOLE.checkpoint
    assert there.read_bytes() == server.files[path_of(WHOLE)]
