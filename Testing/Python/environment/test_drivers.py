"""GPU drivers, asked by their own programs, which may be anything."""

from __future__ import annotations

import sys
import time

import pytest

from TotalSegmentatorLib.environment import drivers
from TotalSegmentatorLib.environment.drivers import Driver, Gpu, find_driver
from TotalSegmentatorLib.environment.torch_builds import choose_build

NVIDIA = "NVIDIA RTX A4000, 580.95.05, 16376, 15200, 8.6\nTesla T4, 580.95.05, [N/A], 1, 7.5\n"
# Refuses the field that it does not know, as nvidia-smi of 2021 does.
OLD_PROGRAM = """case "$*" in *compute_cap*)
  echo 'Field "compute_cap" is not a valid field to query.'; exit 2;;
esac
echo 'GeForce GTX 1080, 450.80.02, 8192, 8000'"""
ROCM = """ROCk module is loaded
Runtime Version:         1.15
Agent 1
*******
  Name:                    AMD Ryzen 9
  Marketing Name:          AMD Ryzen 9
  Device Type:             CPU
Agent 2
*******
  Name:                    gfx1100
  Marketing Name:          Radeon RX 7900 XTX
  Device Type:             GPU
"""


def test_nvidia():
    found = drivers.read_nvidia(NVIDIA)
    first = Gpu("NVIDIA RTX A4000", "8.6", 16376 << 20, 15200 << 20)
    assert found == Driver("nvidia", "580.95.05", (first, Gpu("Tesla T4", "7.5", 0, 1 << 20)))


def test_amd():
    assert drivers.read_rocm(ROCM) == Driver(
        "amd", "1.15", (Gpu("Radeon RX 7900 XTX", "gfx1100", 0, 0),)
    )


@pytest.mark.parametrize("text", ["", "Failed to initialize NVML: Driver mismatch\n", "a,b,c\n"])
def test_a_program_that_tells_nothing(text):
    assert drivers.read_nvidia(text) == Driver("nvidia")
    assert drivers.read_rocm(text) == Driver("amd")


def test_apple(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(drivers.platform, "machine", lambda: "arm64")
    assert find_driver().kind == "apple"
    monkeypatch.setattr(drivers.platform, "machine", lambda: "x86_64")
    assert find_driver().kind == "none"


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a program on the search path, which is all there is on it."""
    monkeypatch.setattr(drivers, "_nvidia_places", lambda _: [])

    def make(name: str, script: str) -> dict[str, str]:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return {"PATH": f"{tmp_path}:/usr/bin:/bin"}

    return make


@pytest.mark.skipif(sys.platform == "win32", reason="shell scripts as programs")
class TestPrograms:
    def test_nvidia_is_asked(self, program):
        variables = program("nvidia-smi", f"cat <<END\n{NVIDIA}END")
        assert find_driver(variables).version == "580.95.05"

    def test_an_old_driver_is_asked_for_less(self, program):
        found = find_driver(program("nvidia-smi", OLD_PROGRAM))
        gpu = Gpu("GeForce GTX 1080", "", 8192 << 20, 8000 << 20)
        assert found == Driver("nvidia", "450.80.02", (gpu,))
        assert "the driver is 450.80.02" in choose_build(found, "linux-x86_64").reason

    @pytest.mark.parametrize("script", ["exit 9", "kill -9 $$", "printf '\\377\\376'"])
    def test_a_broken_driver_has_no_gpus(self, program, script):
        assert find_driver(program("nvidia-smi", script)) == Driver("nvidia")

    def test_a_program_that_cannot_be_started(self, program, tmp_path):
        variables = program("nvidia-smi", "")
        (tmp_path / "nvidia-smi").write_bytes(b"\x7fELF nonsense")
        assert find_driver(variables) == Driver("nvidia")

    def test_a_hanging_driver_is_given_up(self, program, monkeypatch):
        monkeypatch.setattr(drivers, "_TIMEOUT_S", 0.2)
        began = time.monotonic()
        assert find_driver(program("nvidia-smi", "sleep 60 & sleep 60")) == Driver("nvidia")
        assert time.monotonic() < began + 5

    def test_no_driver(self, tmp_path, monkeypatch):
        monkeypatch.setattr(drivers, "_nvidia_places", lambda _: [])
        assert find_driver({"PATH": str(tmp_path)}).kind == "none"


@pytest.mark.parametrize(
    ("system", "version", "told"),
    [
        ("darwin", "13.7.1", "macOS 13.7.1"),
        ("darwin", "14.0", ""),
        ("linux", ("glibc", "2.27"), "glibc 2.27"),
        ("linux", ("glibc", "2.28"), ""),
        ("linux", ("musl", "1.2"), "no GNU C library"),
        ("win32", "", ""),
    ],
)
def test_systems_that_are_too_old(system, version, told, monkeypatch):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(drivers.platform, "mac_ver", lambda: (version, ("", "", ""), ""))
    monkeypatch.setattr(drivers.platform, "libc_ver", lambda: version)
    found = drivers.system_hindrance()
    assert bool(found) == bool(told)
    assert told in found
    assert not found or found.endswith(".")
