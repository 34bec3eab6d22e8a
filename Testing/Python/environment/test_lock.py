"""The locked packages: complete, with hashes, and the right ones for every computer."""

from __future__ import annotations

import re

import pytest

from TotalSegmentatorLib.environment import lock
from TotalSegmentatorLib.environment.lock import (
    ENGINE_LOCK,
    INSTALLER_LOCK,
    SYSTEMS,
    TORCH_LOCK,
    Requirement,
    Target,
    locked_versions,
    read_lock,
    required,
)

TARGETS = [Target(*system, f"3.{minor}") for system in SYSTEMS for minor in range(10, 14)]
LINUX = Target("linux", "x86_64", "3.12")


@pytest.mark.parametrize("path", [ENGINE_LOCK, TORCH_LOCK, INSTALLER_LOCK], ids=lambda p: p.name)
def test_every_line_is_read_and_has_hashes(path):
    found = read_lock(path)
    assert len(found) == len(re.findall(r"^[\w.-]+==", path.read_text("utf-8"), re.MULTILINE))
    for one in found:
        assert one.hashes, one.name
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", digest) for digest in one.hashes)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: f"{t.system}-{t.python}")
def test_every_computer_gets_each_package_once(target):
    for path in (ENGINE_LOCK, TORCH_LOCK, INSTALLER_LOCK):
        names = [one.name for one in required(read_lock(path), target)]
        assert len(names) == len(set(names))
    versions = locked_versions(target)
    names = {"totalsegmentator", "nnunetv2", "monai", "numpy", "scipy", "setuptools"}
    assert names <= set(versions)
    assert "torch" not in versions
    assert ("openvino" in versions) == (target.machine in ("x86_64", "AMD64"))
    assert ("colorama" in versions) == (target.platform == "win32")


def test_what_the_program_asks_for_is_locked():
    assert locked_versions(LINUX)["totalsegmentator"] == "2.18.0"
    torch = {one.name: one.version for one in required(read_lock(TORCH_LOCK), LINUX)}
    assert torch["torch"] == "2.13.0"
    assert any(name.startswith("nvidia-") for name in torch)
    mac = required(read_lock(TORCH_LOCK), Target("darwin", "arm64", "3.12"))
    assert [one.name for one in mac] == ["torch"]
    for name in (*lock.specification()["build_packages"], *lock.specification()["source_packages"]):
        assert name in locked_versions(LINUX)


@pytest.mark.parametrize(
    ("marker", "expected"),
    [
        ("", True),
        ("sys_platform == 'linux'", True),
        ("sys_platform != 'linux'", False),
        ("python_full_version < '3.11'", False),
        ("python_full_version == '3.12.*'", True),
        ("python_full_version >= '3.9' and platform_machine == 'arm64'", False),
        ("(sys_platform == 'win32' or platform_machine == 'x86_64') and "
         "python_full_version < '3.13'", True),
    ],
)  # fmt: skip
def test_markers(marker, expected):
    one = Requirement("name", "1", (), marker)
    assert required([one], LINUX) == ((one,) if expected else ())


@pytest.mark.parametrize("marker", ["extra == 'x' and f()", "__import__('os')", "1 < 2", "os_name"])
def test_a_marker_is_never_run_as_code(marker):
    with pytest.raises((ValueError, KeyError)):
        required([Requirement("name", "1", (), marker)], LINUX)


def test_version_of_the_lock_follows_its_content(tmp_path, monkeypatch):
    before = lock.lock_version()
    assert re.fullmatch("[0-9a-f]{8}", before)
    other = tmp_path / "lock.txt"
    other.write_bytes(ENGINE_LOCK.read_bytes().replace(b"\n", b"\r\n"))
    monkeypatch.setattr(lock, "ENGINE_LOCK", other)
    lock.lock_version.cache_clear()
    assert lock.lock_version() == before  # a checkout on Windows has other ends of lines
    other.write_bytes(other.read_bytes() + b"more==1 --hash=sha256:00\n")
    lock.lock_version.cache_clear()
    assert lock.lock_version() != before
    monkeypatch.undo()
    lock.lock_version.cache_clear()
