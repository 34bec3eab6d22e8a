"""Getting weights from a server of this computer that fails, and from files of the user's."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
import traceback
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.fault_table import note
from support.faulty_server import Fault, FaultyServer, faulty_server
from support.weights_files import model_files, put_model, zipped

from TotalSegmentatorLib import catalog, environment
from TotalSegmentatorLib.catalog import Archive, Model
from TotalSegmentatorLib.environment import UserSettings, network, save_settings, weights
from TotalSegmentatorLib.environment.observer import Observer
from TotalSegmentatorLib.environment.weights import (
    Way,
    archives,
    installing,
    obtaining,
    records,
    store,
)
from TotalSegmentatorLib.errors import CancelledError, SetupError

# A checksum is published of the second one.
PLAIN, SUMMED = (catalog.task(id).speeds["normal"][0] for id in ("body", "trunk_cavities"))
(FACE,) = catalog.task("face").speeds["normal"]
NUMBER = "aca_0123456789ABCD"
WORK = ".downloads"


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch) -> Path:
    """The user's folders during a test, and no pause between tries."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("HOME", "USERPROFILE", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(folder))
    for name in ("http_proxy", "https_proxy", "all_proxy", "TOTALSEG_HOME_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    defaults = {**network.download.__kwdefaults__, "pauses_s": (0.01,), "timeout_s": 2.0}
    monkeypatch.setattr(network.download, "__kwdefaults__", defaults)
    return folder


@pytest.fixture
def server(monkeypatch) -> Iterator[FaultyServer]:
    """Publishes an archive of two models, and gives one to whoever has a licence number."""
    with faulty_server() as found:
        table = {}
        for model in (PLAIN, SUMMED):
            content = zipped(model_files(model))
            digest = hashlib.sha256(content).hexdigest() if model is SUMMED else ""
            name = f"{model.folder}.zip"
            one = Archive(model.dataset_id, model.release, name, len(content), digest)
            table[model.release, name] = one
            found.files[f"/{one.key}"] = content
        found.files["/licensed"] = zipped(model_files(FACE))
        monkeypatch.setattr(catalog.weights, "_table", lambda: table)
        monkeypatch.setattr(obtaining, "PUBLISHED", found.url)
        monkeypatch.setattr(obtaining, "LICENSED", f"{found.url}/licensed")
        yield found


def path_of(model: Model) -> str:
    return f"/{catalog.archive(model).key}"


def listing(folder: Path) -> list[str]:
    """What is in a weights folder, but for locks."""
    found = [p.name for p in folder.iterdir() if p.name != WORK] if folder.exists() else []
    work = folder / WORK
    below = [f"{WORK}/{p.name}" for p in work.iterdir()] if work.exists() else []
    return sorted(found + [name for name in below if not name.endswith(".lock")])


def store_number(home: Path) -> None:
    path = home / ".totalsegmentator" / "config.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"license_number": NUMBER}))


def entry(model: Model, folder: Path) -> weights.WeightsEntry:
    return next(one for one in weights.entries(folder) if one.model == model)


def test_models_are_there_as_a_whole_and_nothing_else(server, tmp_path):
    steps: list[tuple[float, str]] = []
    weights.obtain((PLAIN, SUMMED), tmp_path, Observer(lambda *step: steps.append(step)))
    assert listing(tmp_path) == sorted([PLAIN.folder, SUMMED.folder])
    assert environment.missing_models((PLAIN, SUMMED), tmp_path) == ()
    assert entry(PLAIN, tmp_path).verified and entry(SUMMED, tmp_path).verified
    assert [one.state for one in weights.verify(tmp_path, (PLAIN, SUMMED))] == ["ok", "ok"]
    assert listing(records.known_file().parent) == ["weights-hashes.json", "weights-hashes.lock"]
    record = records.read_record(tmp_path / PLAIN.folder)
    assert record.source == "127.0.0.1" and len(record.files) == 3
    assert record.sha256 == hashlib.sha256(server.files[path_of(PLAIN)]).hexdigest()
    shares = [share for share, _ in steps]
    assert shares == sorted(shares) and shares[0] >= 0 and shares[-1] == 1
    assert any(text.startswith(f"Downloading the weights {PLAIN.folder}: ") for _, text in steps)


def test_what_is_there_is_not_downloaded(server, tmp_path):
    put_model(tmp_path, PLAIN)
    weights.obtain((PLAIN,), tmp_path)
    assert server.seen == [] and listing(tmp_path) == [PLAIN.folder]


def test_a_damaged_model_stays_until_there_is_a_whole_one(server, tmp_path):
    checkpoint = put_model(tmp_path, PLAIN)
    checkpoint.write_bytes(b"")
    (tmp_path / PLAIN.folder / "mine.txt").write_text("of the user's")
    server.faults = [Fault(404, body=b"")]
    with pytest.raises(SetupError):
        weights.obtain((PLAIN,), tmp_path)
    assert (tmp_path / PLAIN.folder / "mine.txt").exists()
    weights.obtain((PLAIN,), tmp_path)
    assert store.state_of(PLAIN, tmp_path) == "present" and listing(tmp_path) == [PLAIN.folder]


def test_the_first_download_says_what_later_ones_must_be(server, tmp_path):
    weights.obtain((PLAIN,), tmp_path)
    shutil.rmtree(tmp_path / PLAIN.folder)
    original = server.files[path_of(PLAIN)]
    server.files[path_of(PLAIN)] = original[:-1] + b"\1"
    with pytest.raises(SetupError) as caught:
        weights.obtain((PLAIN,), tmp_path)
    note("Weights: another file than at the first download", caught.value)
    assert caught.value.code == "network.wrong_file" and listing(tmp_path) == []
    server.files[path_of(PLAIN)] = original
    weights.obtain((PLAIN,), tmp_path, way=Way(mirror=server.url))  # now a mirror can be checked
    assert entry(PLAIN, tmp_path).verified


def test_removing_forgets_what_later_ones_must_be(server, tmp_path):
    weights.obtain((PLAIN,), tmp_path)
    weights.remove((PLAIN,), tmp_path)
    good = server.files[path_of(PLAIN)]
    server.files[path_of(PLAIN)] = good[:10] + b"\1" + good[11:]  # packed at another time
    weights.obtain((PLAIN,), tmp_path)
    assert entry(PLAIN, tmp_path).verified


def test_what_held_no_model_says_nothing_of_later_ones(server, tmp_path):
    good = server.files[path_of(PLAIN)]
    server.files[path_of(PLAIN)] = bytes(len(good))
    with pytest.raises(SetupError, match="no zip archive"):
        weights.obtain((PLAIN,), tmp_path)
    server.files[path_of(PLAIN)] = good
    weights.obtain((PLAIN,), tmp_path)
    assert entry(PLAIN, tmp_path).verified


@pytest.mark.parametrize("again", ["download", "archive", "folder"])
def test_what_verify_finds_damaged_can_be_got_again(server, tmp_path, again):
    weights.obtain((PLAIN,), tmp_path / "w")
    checkpoint = next((tmp_path / "w").rglob("*.pth"))
    content = bytearray(checkpoint.read_bytes())
    content[500] ^= 0xFF
    checkpoint.write_bytes(content)
    assert environment.missing_models((PLAIN,), tmp_path / "w") == ()  # nobody has looked
    assert [one.state for one in weights.verify(tmp_path / "w", (PLAIN,))] == ["error"]
    assert entry(PLAIN, tmp_path / "w").state == "damaged"
    if again == "download":
        weights.obtain((PLAIN,), tmp_path / "w")
    elif again == "archive":
        (tmp_path / "x.zip").write_bytes(server.files[path_of(PLAIN)])
        weights.import_weights(tmp_path / "x.zip", tmp_path / "w")
    else:
        weights.obtain((PLAIN,), tmp_path / "other")
        weights.import_weights(tmp_path / "other" / PLAIN.folder, tmp_path / "w")
    assert [one.state for one in weights.verify(tmp_path / "w", (PLAIN,))] == ["ok"]
    assert entry(PLAIN, tmp_path / "w").state == "present" and entry(PLAIN, tmp_path / "w").verified


@pytest.mark.parametrize("name", ["plans.json", "dataset.json", "checkpoint_final.pth"])
def test_a_published_model_that_was_changed_is_none(server, tmp_path, name):
    """Labels stand in its description. Whoever changes a file can change the note, too."""
    weights.obtain((PLAIN,), tmp_path)
    place = tmp_path / PLAIN.folder
    changed = next(place.rglob(name))
    changed.write_bytes(b'{"labels": {"background": 0, "other": 1}}')
    assert [one.state for one in weights.verify(tmp_path, (PLAIN,))] == ["error"]
    origin = records.Origin("x.zip", "0" * 64, "github.com")
    records.write_record(origin, records.file_sums(place), place)
    assert [one.state for one in weights.verify(tmp_path, (PLAIN,))] == ["warning"]
    assert not entry(PLAIN, tmp_path).verified


def test_a_listing_sees_other_descriptions(server, tmp_path):
    weights.obtain((PLAIN,), tmp_path)
    next(tmp_path.rglob("dataset.json")).write_text('{"labels": {}}')
    assert not entry(PLAIN, tmp_path).verified


def test_a_swap_in_a_shared_folder_is_in_vain(server, tmp_path, monkeypatch):
    """Another user puts other files there at every step."""
    put = archives.put

    def swapped(blocks: object, target: Path, on_bytes: object) -> str:
        digest = put(blocks, target, on_bytes)
        if target.suffix == ".pth":
            target.write_bytes(b"PK\3\4 evil PK\5\6" + bytes(18))
        return digest

    monkeypatch.setattr(archives, "put", swapped)
    asked: list[list[str]] = []
    observer = Observer(lambda *_: asked.append(listing(tmp_path)))
    weights.obtain((PLAIN,), tmp_path, observer)
    assert not any(name.endswith(".zip") for names in asked for name in names)
    assert [one.state for one in weights.verify(tmp_path, (PLAIN,))] == ["error"]
    (checkpoint,) = {p.read_bytes() for p in tmp_path.rglob("*.pth")}
    assert hashlib.sha256(checkpoint).hexdigest() not in records.known_file().read_text()


@pytest.mark.skipif(os.name == "nt", reason="folders have no such modes there")
def test_a_folder_of_several_users_stays_one(server, tmp_path):
    tmp_path.chmod(0o2770)
    weights.obtain((PLAIN,), tmp_path)
    assert stat.S_IMODE((tmp_path / WORK).stat().st_mode) & 0o777 == 0o770
    assert {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / WORK).iterdir()} == {0o660}


def test_a_mirror_gives_what_can_be_checked(server, tmp_path):
    save_settings(UserSettings(weights_mirror=server.url))
    weights.obtain((SUMMED,), tmp_path)
    assert entry(SUMMED, tmp_path).verified
    with pytest.raises(SetupError) as caught:
        weights.obtain((PLAIN,), tmp_path)
    note("Weights: mirror without a checksum", caught.value)
    assert caught.value.code == "weights.untrusted_mirror"
    weights.obtain((PLAIN,), tmp_path, way=Way(trust_mirror=True))
    assert not entry(PLAIN, tmp_path).verified and records.known_archive(path_of(PLAIN)[1:]) == ""


def test_a_lying_mirror_is_found_out(server, tmp_path):
    server.files[path_of(SUMMED)] = server.files[path_of(SUMMED)][:-1] + b"\1"
    with pytest.raises(SetupError) as caught:
        weights.obtain((SUMMED,), tmp_path, way=Way(mirror=server.url, trust_mirror=True))
    assert caught.value.code == "network.wrong_file" and listing(tmp_path) == []


def other_archive(*files: tuple[str, bytes]) -> bytes:
    return zipped(dict(files))


# What the server sends instead -> code, words of the sentence. A checksum is not known.
CONTENTS = {
    "no archive": (b"nothing", "weights.damaged_archive", "is damaged or no zip archive"),
    "attack": (
        other_archive((f"{PLAIN.folder}/../../evil", b"x")),
        "weights.unsafe_archive",
        "is no safe name for a file",
    ),
    "another model": (
        zipped(model_files(SUMMED)),
        "weights.damaged_archive",
        f"does not hold the whole model {PLAIN.folder}",
    ),
    "half a model": (
        zipped(dict(list(model_files(PLAIN).items())[:-1])),
        "weights.damaged_archive",
        "does not hold the whole model",
    ),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_what_is_no_model_is_never_unpacked(server, tmp_path, monkeypatch, name):
    content, code, words = CONTENTS[name]
    server.files[path_of(PLAIN)] = content
    monkeypatch.setattr(
        catalog.weights,
        "_table",
        lambda: {
            (PLAIN.release, f"{PLAIN.folder}.zip"): Archive(
                PLAIN.dataset_id, PLAIN.release, f"{PLAIN.folder}.zip", len(content), ""
            )
        },
    )
    with pytest.raises(SetupError) as caught:
        weights.obtain((PLAIN,), tmp_path)
    note(f"Weights: archive is {name}", caught.value)
    assert caught.value.code == code and words in caught.value.message
    assert listing(tmp_path) == [] and not (tmp_path.parent / "evil").exists()


def test_a_download_goes_on_in_the_next_run(server, tmp_path):
    server.faults = [Fault(cut=0), Fault(cut=0)]
    with pytest.raises(SetupError) as caught:
        weights.obtain((PLAIN,), tmp_path)
    assert caught.value.code == "network.broken_off"
    path = store.archive_path(PLAIN, tmp_path, mirror=False)
    assert not path.exists() and path.with_name(f"{path.name}.part").exists()
    weights.obtain((PLAIN,), tmp_path)
    assert listing(tmp_path) == [PLAIN.folder]


def test_space_for_archive_and_model_is_asked_for_before(server, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    size = len(server.files[path_of(PLAIN)])
    monkeypatch.setattr(network.shutil, "disk_usage", lambda _: usage(0, 0, 2 * size))
    with pytest.raises(SetupError) as caught:
        weights.obtain((PLAIN,), tmp_path)
    note("Weights: too little space", caught.value)
    assert caught.value.code == "disk.full" and server.seen == [] and listing(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, "disk.full"), (errno.EACCES, "weights.not_writable")]
)
def test_nothing_is_left_of_an_unpacking_that_fails(server, tmp_path, monkeypatch, number, code):
    def fail(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(installing, "unpack", fail)
    with pytest.raises(SetupError) as caught:
        weights.obtain((PLAIN,), tmp_path)
    note(f"Weights: {os.strerror(number)} while unpacking", caught.value)
    assert caught.value.code == code and listing(tmp_path) == []
    assert PLAIN.folder in caught.value.message and str(tmp_path) not in caught.value.message


def test_a_renaming_that_fails_brings_back_what_was_there(server, tmp_path, monkeypatch):
    put_model(tmp_path, PLAIN).write_bytes(b"")
    replace = os.replace

    def fail(source: Path, target: Path) -> None:
        if Path(source).suffix == ".new":
            raise PermissionError(errno.EACCES, "Permission denied")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(SetupError) as caught:
        weights.obtain((PLAIN,), tmp_path)
    assert caught.value.code == "weights.not_writable"
    assert listing(tmp_path) == [PLAIN.folder] and store.state_of(PLAIN, tmp_path) == "damaged"


def test_a_folder_that_is_being_scanned_is_renamed_later(server, tmp_path, monkeypatch):
    """As on Windows, where a new file is read by a virus scanner for a while."""
    replace, refused = os.replace, []

    def busy(source: Path, target: Path) -> None:
        if Path(source).suffix == ".new" and not refused:
            refused.append(source)
            error = PermissionError(errno.EACCES, "Access is denied")
            error.winerror = 5
            raise error
        replace(source, target)

    monkeypatch.setattr(os, "replace", busy)
    weights.obtain((PLAIN,), tmp_path)
    assert refused and listing(tmp_path) == [PLAIN.folder]


def test_a_shared_folder_that_is_read_only(server, tmp_path, monkeypatch):
    """What is in it can be used; what is not is refused with the folder's name."""
    put_model(tmp_path, PLAIN)

    mkdir = Path.mkdir

    def refuse(path: Path, *arguments: object, **options: object) -> None:
        if path == tmp_path / WORK:
            raise OSError(errno.EROFS, "Read-only file system")
        mkdir(path, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", refuse)
    weights.obtain((PLAIN,), tmp_path)
    with pytest.raises(SetupError) as caught:
        weights.obtain((PLAIN, SUMMED), tmp_path)
    note("Weights: shared folder is read-only", caught.value)
    assert caught.value.code == "weights.not_writable"
    assert f"folder {tmp_path.name} cannot be written to (Read-only" in caught.value.message


@pytest.mark.parametrize("where", ["Downloading", "Unpacking"])
def test_cancel_leaves_no_model(server, tmp_path, where):
    server.faults = [Fault(cut=5000, silent_s=5)] if where == "Downloading" else []
    asked: list[float] = []

    def on_step(share: float, text: str) -> None:
        if text.startswith(where):
            asked.append(time.monotonic())

    with pytest.raises(CancelledError) as caught:
        weights.obtain((PLAIN,), tmp_path, Observer(on_step, cancelled=lambda: bool(asked)))
    note(f"Weights: cancelled while {where.lower()}", caught.value)
    assert time.monotonic() - asked[0] < 1
    assert PLAIN.folder not in listing(tmp_path)
    before = len(server.seen)
    weights.obtain((PLAIN,), tmp_path)  # a whole archive is not downloaded twice
    assert len(server.seen) == before + (where == "Downloading")
    assert listing(tmp_path) == [PLAIN.folder]


def test_of_two_programs_the_second_waits_and_finds_it(server, tmp_path):
    """The first one is held in its download until the second one waits."""
    waits, first = (
        threading.Event(),
        threading.Thread(
            target=weights.obtain,
            args=((PLAIN,), tmp_path, Observer(lambda *_: waits.wait(5))),
        ),
    )
    server.faults = [Fault(silent_s=0.3)]
    first.start()
    while not (tmp_path / WORK / f"{PLAIN.dataset_id}.lock").exists():
        time.sleep(0.01)
    steps: list[str] = []

    def on_step(share: float, text: str) -> None:
        steps.append(text)
        waits.set()

    weights.obtain((PLAIN,), tmp_path, Observer(on_step))
    first.join()
    assert steps == [f"Waiting for another program that gets {PLAIN.folder}"]
    note("Weights: two programs at once", "The second one waits, and finds them.")
    assert len(server.seen) == 1 and store.state_of(PLAIN, tmp_path) == "present"


def test_what_a_killed_program_left_is_no_obstacle(server, tmp_path):
    """It is killed while it unpacks, with its lock taken."""
    code = (
        "import os, sys; from pathlib import Path\n"
        "from TotalSegmentatorLib import catalog\n"
        "from TotalSegmentatorLib.environment.observer import Observer\n"
        "from TotalSegmentatorLib.environment.weights import archives, store\n"
        "model, folder = catalog.task('body').speeds['normal'][0], Path(sys.argv[1])\n"
        "with store.alone(folder, model, Observer()):\n"
        "    place = store.work_path(folder, model, '.new')\n"
        "    place.mkdir(parents=True)\n"
        "    (place / 'plans.json').write_text('half')\n"
        "    os._exit(9)\n"
    )
    library = Path(environment.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code, tmp_path], cwd=library).returncode == 9
    assert listing(tmp_path) == [f"{WORK}/{PLAIN.dataset_id}.new"]
    weights.obtain((PLAIN,), tmp_path)
    note("Weights: killed while unpacking", "The next call begins anew; nothing is left.")
    assert listing(tmp_path) == [PLAIN.folder]


def test_licensed_weights_are_asked_for_with_the_number(server, home, tmp_path):
    store_number(home)
    weights.obtain((FACE,), tmp_path)
    (seen,) = server.seen
    assert (seen.method, seen.path) == ("POST", "/licensed")
    assert json.loads(seen.body) == {
        "license_number": NUMBER,
        "task": "face",
        "version": "2.18.0",
    }
    assert entry(FACE, tmp_path).verified


def test_a_model_of_two_tasks_has_the_name_of_the_second():
    (shared,) = catalog.task("thigh_shoulder_muscles").speeds["normal"]
    tasks = [t.id for t in catalog.tasks() if shared in t.speeds.get("normal", ())]
    assert tasks[-1] == "thigh_shoulder_muscles_mr"  # by which the official package asks for it


def test_without_a_number_nobody_is_asked(server, tmp_path):
    with pytest.raises(SetupError) as caught:
        weights.obtain((FACE,), tmp_path)
    note("Weights: licensed, no number", caught.value)
    assert caught.value.code == "licence.missing" and server.seen == []


REFUSALS = {
    "no such file": (Fault(404, body=b""), "network.refused"),
    "number refused": (Fault(403, body=NUMBER.encode()), "licence.refused"),
    "message instead of a file": (
        Fault(200, {"Content-Type": "application/json"}, b'{"status": "x"}'),
        "licence.refused",
    ),
    "out of order": (Fault(503, body=b""), "network.unreachable"),
    "page of a proxy": (
        Fault(body=b"<html>", headers={"Content-Type": "text/html"}),
        "network.wrong_file",
    ),
    "no archive": (Fault(body=NUMBER.encode()), "weights.damaged_archive"),
    "broken off": (Fault(cut=100), "network.broken_off"),
}


@pytest.mark.parametrize(("fault", "code"), REFUSALS.values(), ids=REFUSALS)
def test_the_number_stands_nowhere(server, home, tmp_path, caplog, capfd, fault, code, request):
    store_number(home)
    server.faults = [fault] * 4
    lines: list[str] = []
    caplog.set_level(0)
    observer = Observer(lambda share, text: lines.append(text), lines.append)
    with pytest.raises(SetupError) as caught:
        weights.obtain((FACE,), tmp_path, observer)
    note(f"Weights: licensed, {request.node.callspec.id}", caught.value)
    assert caught.value.code == code
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.to_dict())
    chain, error = [], caught.value
    while error is not None:
        chain.append(repr(error) + repr(vars(error)))
        error = error.__cause__ or error.__context__
    output = capfd.readouterr()
    everything = [shown, *chain, *lines, caplog.text, output.out, output.err]
    assert NUMBER not in "".join(everything) and NUMBER[4:] not in "".join(everything)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(NUMBER.encode() in path.read_bytes() for path in files)


@pytest.fixture
def import_to(tmp_path) -> Callable[..., tuple[weights.WeightsEntry, ...]]:
    return lambda path, **options: weights.import_weights(path, tmp_path / "w", **options)


def test_a_published_archive_is_imported_as_such(server, tmp_path, import_to):
    path = tmp_path / "renamed.zip"
    path.write_bytes(server.files[path_of(SUMMED)])
    (found,) = import_to(path)
    assert (found.model, found.tasks) == (SUMMED, ("trunk_cavities",))
    assert found.state == "present" and found.verified
    assert listing(tmp_path / "w") == [SUMMED.folder]


def test_an_archive_of_two_models_as_people_make_them(tmp_path, import_to):
    """On a Mac, which adds files of its own."""
    path = tmp_path / "weights.zip"
    files = {**model_files(PLAIN), **model_files(SUMMED), "__MACOSX/._x": b"x"}
    path.write_bytes(zipped(files))
    assert {found.model for found in import_to(path)} == {PLAIN, SUMMED}
    assert not any(entry.verified for entry in weights.entries(tmp_path / "w"))
    assert listing(tmp_path / "w") == sorted([PLAIN.folder, SUMMED.folder])


@pytest.mark.parametrize("given", ["one model", "several", "archives"])
def test_folders_are_imported(tmp_path, import_to, given):
    source = tmp_path / "source"
    source.mkdir()
    for model in (PLAIN, SUMMED):
        if given == "archives":
            (source / f"{model.folder}.zip").write_bytes(zipped(model_files(model)))
        else:
            put_model(source, model)
    (source / "notes.txt").write_text("not of interest")
    found = import_to(source / PLAIN.folder if given == "one model" else source)
    assert {one.model for one in found} == ({PLAIN} if given == "one model" else {PLAIN, SUMMED})
    assert all(one.state == "present" and not one.verified for one in found)


def test_a_record_is_not_believed_when_it_is_imported(server, tmp_path, import_to):
    """Whoever made the folder could write anything; the user's own list of checksums counts."""
    source = tmp_path / "source"
    put_model(source, PLAIN)
    origin = records.Origin("x.zip", "0" * 64, "github.com")
    records.write_record(origin, records.file_sums(source / PLAIN.folder), source / PLAIN.folder)
    weights.obtain((SUMMED,), source)
    verified = {one.model: one.verified for one in import_to(source)}
    assert verified == {PLAIN: False, SUMMED: True}


def test_what_is_there_stays_in_an_import(tmp_path, import_to):
    checkpoint = put_model(tmp_path / "w", PLAIN)
    before = checkpoint.read_bytes()
    put_model(tmp_path / "source", PLAIN)
    assert import_to(tmp_path / "source")[0].state == "present"
    assert checkpoint.read_bytes() == before


# What is imported -> code, words of the sentence and of the remedy.
IMPORTS = {
    "nothing": (None, "weights.nothing_to_import", "There are no weights in given."),
    "no weights": ({}, "weights.nothing_to_import", "There are no weights in given."),
    "text": (b"text", "weights.damaged_archive", "given is damaged or no zip archive."),
    "other zip": (
        zipped({"photos/one.jpg": b"x"}),
        "weights.unknown_model",
        "'photos' in given is not the folder of a model of TotalSegmentator.",
    ),
    "unknown data set": (
        {"Dataset299_body_1559": b""},
        "weights.unknown_model",
        "'Dataset299_body_1559' in Dataset299_body_1559 is not the folder",
    ),
    "half": (
        zipped(dict(list(model_files(PLAIN).items())[:-1])),
        "weights.damaged_archive",
        f"given does not hold the whole model {PLAIN.folder}.",
    ),
    "attack": (
        zipped({f"{PLAIN.folder}/plans.json": b"", "/etc/evil": b""}),
        "weights.unsafe_archive",
        "given was not unpacked: '/etc/evil' is no safe name for a file.",
    ),
}


@pytest.mark.parametrize("name", IMPORTS)
def test_what_cannot_be_imported_is_told(tmp_path, import_to, name):
    content, code, words = IMPORTS[name]
    path = tmp_path / "given"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        path.mkdir()
        for folder in content:
            (path / folder).mkdir()
    with pytest.raises(SetupError) as caught:
        import_to(path)
    note(f"Weights: import of {name}", caught.value)
    assert caught.value.code == code and words in caught.value.message
    assert caught.value.remedy and listing(tmp_path / "w") == []


def test_close_names_are_offered(tmp_path, import_to):
    (tmp_path / "given" / "Dataset299_body_1559").mkdir(parents=True)
    with pytest.raises(SetupError) as caught:
        import_to(tmp_path / "given")
    assert PLAIN.folder in caught.value.remedy and FACE.folder in caught.value.details


def test_an_import_can_be_cancelled(tmp_path, import_to):
    put_model(tmp_path / "source", PLAIN)
    with pytest.raises(CancelledError):
        import_to(tmp_path / "source", observer=Observer(cancelled=lambda: True))
    assert listing(tmp_path / "w") == []


def test_a_source_that_cannot_be_read_is_told_from_the_target(tmp_path, import_to, monkeypatch):
    put_model(tmp_path / "source", PLAIN)
    is_file = Path.is_file

    def refuse(path: Path) -> bool:
        if path.suffix == ".pth":
            raise OSError(errno.EIO, "Input/output error")
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(SetupError) as caught:
        import_to(tmp_path / "source")
    note("Weights: source cannot be read", caught.value)
    assert caught.value.code == "weights.unreadable"
