"""Archives are looked through before anything is unpacked: every attack is refused as a whole."""

from __future__ import annotations

import io
import stat
import tempfile
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.fault_table import note
from support.weights_files import zipped

from TotalSegmentatorLib.environment.weights import Caps, check_archive
from TotalSegmentatorLib.environment.weights.archives import is_safe_name, opened, unpack
from TotalSegmentatorLib.errors import SetupError

GOOD = {"Dataset1/plans.json": b"{}", "Dataset1/fold_0/checkpoint_final.pth": bytes(1000)}


def archive_of(*members: zipfile.ZipInfo | str) -> bytes:
    """An archive with members of any kind; Python itself would write some of them otherwise."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member in members:
            archive.writestr(member, b"content")
    return buffer.getvalue()


def check(content: bytes, caps: Caps | None = None) -> list[zipfile.ZipInfo]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return check_archive(archive, caps)


def refused(content: bytes, caps: Caps | None = None) -> SetupError:
    """The error with which an archive is refused."""
    with pytest.raises(SetupError) as caught:
        check(content, caps)
    assert caught.value.code == "weights.unsafe_archive"
    return caught.value


def refusal(content: bytes, caps: Caps | None = None) -> str:
    """The sentence of it."""
    return refused(content, caps).message


def test_a_good_archive_is_unpacked_as_it_says(tmp_path):
    path = tmp_path / "good.zip"
    path.write_bytes(zipped({**GOOD, "Dataset1/empty/": b""}))
    counted: list[int] = []
    with opened(path) as archive:
        unpack(archive, check_archive(archive), tmp_path / "new", counted.append)
    for name, content in GOOD.items():
        assert (tmp_path / "new" / name).read_bytes() == content
    assert (tmp_path / "new" / "Dataset1" / "empty").is_dir()
    assert sum(counted) == sum(map(len, GOOD.values()))


BAD_NAMES = {
    "parent": "Dataset1/../../evil",
    "parent first": "../evil",
    "absolute": "/etc/evil",
    "here": "Dataset1/./plans.json",
    "empty part": "Dataset1//plans.json",
    "drive": "C:/evil",
    "drive without a slash": "C:evil",
    "share": "//host/share/evil",
    "backslash": "Dataset1\\..\\..\\evil",
    "hidden stream": "Dataset1/plans.json:evil",
    "device": "Dataset1/NUL",
    "device with an ending": "Dataset1/com1.json",
    "device in a folder's name": "aux/plans.json",
    "device with a digit of its own": "Dataset1/LPT²",
    "dot at the end": "Dataset1/plans.json.",
    "space at the end": "Dataset1 /plans.json",
    "control": "Dataset1/pl\nans.json",
    "wildcard": "Dataset1/*.json",
    "long part": f"Dataset1/{'x' * 201}",
    "long": "/".join(["x" * 50] * 5),
}


@pytest.mark.parametrize("what", BAD_NAMES)
def test_names_that_lead_elsewhere_are_refused(what):
    error = refused(archive_of("Dataset1/plans.json", BAD_NAMES[what]))
    note(f"Archive: name with {what}", error)
    message = error.message
    assert "is no safe name" in message and len(message) < 200 and "\n" not in message


def test_a_nul_in_a_name_is_seen():
    """Python cuts the name there, and shows another one."""
    content = archive_of("Dataset1/plans.jsonX.exe").replace(b"plans.jsonX", b"plans.json\0")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["Dataset1/plans.json"]
    assert "is no safe name" in refusal(content)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_devices_are_refused(kind):
    member = zipfile.ZipInfo("Dataset1/link")
    member.external_attr = (kind | 0o777) << 16
    error = refused(archive_of(member))
    note(f"Archive: {stat.filemode(kind)[0]} member", error)
    assert error.message.endswith("'Dataset1/link' is a link or a device.")


def test_links_of_windows_are_refused():
    member = zipfile.ZipInfo("Dataset1/link")
    member.external_attr = 0x400
    assert "is a link or a device" in refusal(archive_of(member))


def test_encrypted_members_are_refused():
    content = bytearray(archive_of("Dataset1/plans.json"))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    assert "is encrypted" in refusal(bytes(content))


def test_unusual_packing_is_refused():
    member = zipfile.ZipInfo("Dataset1/plans.json")
    member.compress_type = zipfile.ZIP_LZMA
    assert "is packed in an unusual way" in refusal(archive_of(member))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("D/plans.json", "D/plans.json"), "stands there twice"),
        (("D/plans.json", "D/PLANS.json"), "stands there twice"),
        (("D/stra\u00dfe", "D/STRASSE"), "stands there twice"),
        (("D/caf\u00e9", "D/cafe\u0301"), "stands there twice"),
        (("D/plans.json", "d/dataset.json"), "stands there in two spellings"),
        (("D/plans", "D/plans/evil"), "is a file and a folder there"),
        (("D/plans", "D/Plans/"), "is a file and a folder there"),
    ],
)
def test_names_that_are_one_on_some_disks_are_refused(names, reason):
    error = refused(archive_of(*names))
    note(f"Archive: {' and '.join(names)}", error)
    assert reason in error.message


def test_bombs_are_refused():
    bomb = zipped({"D/zeros": bytes(150_000_000)})
    assert len(bomb) < 200_000
    note("Archive: bomb", refused(bomb))
    assert "unpacked it would take 150 MB" in refusal(bomb)
    assert "unpacked it would take 0 MB" in refusal(zipped(GOOD), Caps(total_bytes=500))
    assert "it holds 2 files" in refusal(zipped(GOOD), Caps(members=1))


def damaged(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "some.zip"
    path.write_bytes(content)
    with pytest.raises(SetupError) as caught, opened(path) as archive:
        unpack(archive, check_archive(archive), tmp_path / "new", lambda count: None)
    assert caught.value.code == "weights.damaged_archive"
    return caught.value.message


def test_damage_is_told_whenever_it_is_found(tmp_path):
    good = zipped({"D/random": bytes(range(256)) * 100})
    flipped = bytearray(good)
    flipped[60] ^= 0xFF
    for number, content in enumerate(
        (b"", b"<html>Please log in</html>", good[:-30], bytes(flipped), good[100:])
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert damaged(folder, content) == "some.zip is damaged or no zip archive."


def test_an_archive_that_lies_about_a_size_is_found_out(tmp_path):
    """Its list says 10 bytes, and more come out."""
    content = bytearray(zipped({"D/zeros": bytes(100_000)}))
    start = content.index(b"PK\x01\x02") + 24
    content[start : start + 4] = (10).to_bytes(4, "little")
    damaged(tmp_path, bytes(content))
    assert sum(p.stat().st_size for p in (tmp_path / "new").rglob("*") if p.is_file()) <= 10


ODD = st.text(st.sampled_from("aZ.\\/: ~\0\n*é²nulco1-_") | st.characters(), max_size=30)


@given(ODD)
def test_a_name_that_is_accepted_stays_inside(name):
    """By the rules of both families of operating systems."""
    if not is_safe_name(name):
        return
    for path_class in (PurePosixPath, PureWindowsPath):
        path = path_class(name)
        assert not path.is_absolute() and not path.drive and not path.root
        assert not {"..", "."} & set(path.parts)
        assert "/".join(path.parts) == name.removesuffix("/")


@given(st.lists(ODD.filter(lambda name: "\0" not in name), max_size=4, unique=True))
def test_any_archive_is_checked_or_refused(names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name.encode("utf-8", "replace").decode()), b"")
    try:
        members = check(buffer.getvalue())
    except SetupError as error:
        assert error.code == "weights.unsafe_archive"
    else:
        assert all(is_safe_name(member.orig_filename) for member in members)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=8))
def test_any_damage_is_refused_or_harmless(tmp_path, changes):
    content = bytearray(zipped(GOOD))
    for place, value in changes:
        content[place % len(content)] = value
    path, folder = tmp_path / "some.zip", Path(tempfile.mkdtemp(dir=tmp_path))
    path.write_bytes(content)
    try:
        with opened(path) as archive:
            unpack(archive, check_archive(archive), folder, lambda count: None)
    except SetupError as error:
        assert error.code in ("weights.unsafe_archive", "weights.damaged_archive")
