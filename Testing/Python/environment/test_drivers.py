"""GPU drivers, asked by their own programs, which may be anything."""

from __future__ import annotations

import sys
import time

import pytest

from TotalSegmentatorLib.environment import drivers
from TotalSegmentatorLib.environment.drivers import Driver, Gpu, find_driver

NVIDIA = "NVIDIA RTX A4000, 580.95.05, 8.6, 16376, 15200\nTesla T4, 580.95.05, 7.5, [N/A], 1\n"
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
