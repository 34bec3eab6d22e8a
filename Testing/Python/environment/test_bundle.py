"""One file for a computer without internet: what is in it, what is refused."""

from __future__ import annotations

import json
import random
import stat
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.fault_table import note

from TotalSegmentatorLib.environment.bundle import contents
from TotalSegmentatorLib.environment.bundle.contents import Contents, Member
from TotalSegmentatorLib.errors import SetupError

WHEEL = "wheels/tiny-1.0-py3-none-any.whl"
WEIGHTS = "weights/Dataset291_Tiny_part1.zip"
FILES = {WHEEL: b"a wheel" * 1000, WEIGHTS: b"an archive" * 1000}


def nothing(count: int) -> None:
    """Nobody looks on."""


def put_files(folder: Path, files: Mapping[str, bytes] = FILES) -> tuple[Member, ...]:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return contents.listed(folder, nothing)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A bundle as it shall be, with nonsense in its files."""
    members = put_files(tmp_path / "files")
    said = Contents("0.1", "2026-11-21", members, "abc", "linux", "3.12", "cpu")
    path = tmp_path / "bündle 1.zip"
    contents.write(path, said, tmp_path / "files", nothing)
    return path


def rebuilt(good: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of a bundle whose list was changed by someone who knows the format."""
    path = good.with_name("rebuilt.zip")
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, "w") as new:
        values = json.loads(old.read("manifest.json"))
        change(values)
        new.writestr("manifest.json", json.dumps(values))
        for name in FILES:
            new.writestr(name, old.read(name))
    return path


def unpacked(path: Path) -> dict[str, bytes]:
    """The files of a bundle as they arrive."""
    folder = path.with_name("out")
    contents.unpack(path, contents.read(path), folder, nothing)
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*.*")}


def test_what_is_packed_arrives(good):
    assert unpacked(good) == FILES
    said = contents.read(good)
    assert (said.system, said.python, said.torch_build) == ("linux", "3.12", "cpu")
    assert said.size_bytes == sum(map(len, FILES.values()))
    assert [m.name for m in said.within(contents.WHEELS)] == [WHEEL]


def test_the_list_comes_first_and_nothing_is_compressed(good):
    infos = zipfile.ZipFile(good).infolist()
    assert [info.filename for info in infos] == ["manifest.json", WEIGHTS, WHEEL]
    assert {info.compress_type for info in infos} == {zipfile.ZIP_STORED}


def test_the_same_files_give_the_same_bundle(good, tmp_path):
    for path in (tmp_path / "files").rglob("*.*"):
        path.touch()
    again = tmp_path / "again.zip"
    contents.write(again, contents.read(good), tmp_path / "files", nothing)
    assert again.read_bytes() == good.read_bytes()


def fault(path: Path, title: str = "") -> SetupError:
    """How a bundle is refused, on reading its list or at the latest on copying its files.

    :param title: what is wrong, for the table of faults; empty if that stands there already.
    """
    with pytest.raises(SetupError) as caught:
        unpacked(path)
    error = caught.value
    assert path.name in error.message and "\n" not in error.message and error.remedy
    assert str(path.parent) not in str(error)
    if title:
        note(f"Bundle: {title}", error)
    return error


@pytest.mark.parametrize("data", [b"", b"PK", b"<html>sign in here</html>", bytes(5000)])
def test_another_file_is_no_bundle(tmp_path, data):
    path = tmp_path / "bundle.zip"
    path.write_bytes(data)
    assert fault(path, "it is another file" if b"html" in data else "").code == "bundle.not_one"


def test_another_zip_is_no_bundle(tmp_path):
    path = tmp_path / "thesis.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("chapter1.txt", "years of work")
    assert fault(path).code == "bundle.not_one"


def test_what_is_not_there_or_is_a_folder(tmp_path):
    assert fault(tmp_path / "none.zip", "there is no such file").code == "bundle.unreadable"
    (tmp_path / "folder.zip").mkdir()
    assert fault(tmp_path / "folder.zip").code == "bundle.unreadable"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_cut_off(good, share):
    good.write_bytes(good.read_bytes()[: int(good.stat().st_size * share)])
    title = "it was cut off" if share == 0.5 else ""
    assert fault(good, title).code == "bundle.damaged"


def test_no_flipped_byte_gets_through(good):
    """It is refused in one sentence, or it changes nothing that is used (a date, a free field)."""
    whole = good.read_bytes()
    places = random.Random(1).sample(range(len(whole)), 20)
    places += range(len(whole) - 300, len(whole), 3)
    for number, place in enumerate(places):  # the directory is at the end
        folder = good.parent / str(number)
        folder.mkdir()
        path = folder / good.name
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            assert unpacked(path) == FILES
        except SetupError as error:
            assert error.code.startswith("bundle.")


def test_wrong_checksum(good):
    def change(values: dict[str, Any]) -> None:
        values["members"][0]["sha256"] = "0" * 64

    assert "has changed" in fault(rebuilt(good, change), "a checksum is wrong").message


def test_file_that_is_missing_or_not_listed(good):
    def more(values: dict[str, Any]) -> None:
        values["members"].append({"name": "wheels/b-1-py3-none-any.whl", "size": 1, "sha256": ""})

    assert "missing" in fault(rebuilt(good, more), "a file is missing").message
    less = fault(rebuilt(good, lambda values: values["members"].pop()), "a file too many")
    assert "does not name" in less.message


def test_wrong_size(good):
    def change(values: dict[str, Any]) -> None:
        values["members"][1]["size"] += 1

    assert "another size" in fault(rebuilt(good, change), "a file has another size").message


def test_other_format_names_both_versions(good):
    newer = rebuilt(good, lambda values: values.update(format=2, product="7.0"))
    error = fault(newer, "it has a newer format")
    assert error.code == "bundle.newer"
    assert "7.0" in error.message


@pytest.mark.parametrize("product", [7, "x" * 50, "1.0\x1b[2J", None])
def test_what_people_are_shown_is_a_word(good, product):
    changed = rebuilt(good, lambda values: values.update(product=product))
    assert "list cannot be read" in fault(changed).message


@pytest.mark.parametrize(
    "values", ["[]", "null", "{}", "{", "[" * 5000, '{"format": 1, "members": 3}']
)
def test_list_that_is_none(tmp_path, values):
    path = tmp_path / "bundle.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", values)
    assert fault(path).code == "bundle.damaged"


@pytest.mark.parametrize(
    "name",
    [
        "../evil.whl",
        "wheels/../../evil.whl",
        "/wheels/evil-1.whl",
        "wheels/C:evil-1.whl",
        "wheels\\evil-1.whl",
        "wheels/a/evil-1.whl",
        "other/evil-1.whl",
        "wheels/evil-1.exe",
        "wheels/evil-1.whl\n",
        "weights/Dataset1_x/../y.zip",
    ],
)
def test_names_that_leave_their_folder(good, name):
    def change(values: dict[str, Any]) -> None:
        values["members"][0]["name"] = name

    title = "a name leads outside" if name == "../evil.whl" else ""
    assert "do not belong" in fault(rebuilt(good, change), title).message
    assert not list(good.parent.rglob("evil*"))


def test_names_that_differ_in_case_only(good):
    def change(values: dict[str, Any]) -> None:
        values["members"].append({**values["members"][1], "name": WHEEL.replace("tiny", "Tiny")})

    assert "twice" in fault(rebuilt(good, change), "two names are one on Windows").message


def with_entry(good: Path, **attributes: Any) -> Path:
    """A copy of a bundle in which the wheel's entry has other attributes."""
    path = good.with_name("changed.zip")
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            if info.filename == WHEEL:
                for name, value in attributes.items():
                    setattr(info, name, value)
            new.writestr(info, data)
    return path


def test_links_and_devices_are_refused(good):
    for kind in (stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO):
        title = "it holds a link" if kind == stat.S_IFLNK else ""
        changed = with_entry(good, external_attr=(kind | 0o777) << 16)
        assert "plain" in fault(changed, title).message


def test_bombs_are_refused(good, tmp_path):
    """What unfolds to more than it is, is compressed; what is not, is no bomb."""
    packed = with_entry(good, compress_type=zipfile.ZIP_DEFLATED)
    assert "plain" in fault(packed, "it unfolds (zip bomb)").message
    huge = tmp_path / "huge.zip"
    with zipfile.ZipFile(huge, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", bytes(3_000_000))
    assert fault(huge).code in ("bundle.damaged", "bundle.not_one")


def test_encrypted_is_refused(good):
    data = bytearray(good.read_bytes())
    place = data.rindex(b"PK\x01\x02")  # of the last file in the directory
    data[place + 8] |= 1
    good.write_bytes(data)
    assert "plain" in fault(good).message
