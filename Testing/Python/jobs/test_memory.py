"""What operating systems say of the main memory."""

from __future__ import annotations

import ctypes

from TotalSegmentatorLib.jobs import memory


def test_the_free_memory_is_part_of_all():
    total, free = memory.memory()
    assert 0 < free <= total


def test_free_memory_on_macos():
    text = (
        "Mach Virtual Memory Statistics: (page size of 16384 bytes)\n"
        "Pages free:                              100000.\n"
        "Pages active:                            900000.\n"
        "Pages inactive:                          200000.\n"
        "Pages speculative:                         5000.\n"
        "Pages wired down:                        300000.\n"
    )
    assert memory.free_in_vm_stat(text) == 16384 * 305_000
    assert memory.free_in_vm_stat("") == 0


def test_free_memory_on_linux():
    text = "MemTotal: 24684084 kB\nMemFree: 1 kB\nMemAvailable:   23000000 kB\nBuffers: 2 kB\n"
    assert memory.free_in_meminfo(text) == 23_000_000 * 1024
    assert memory.free_in_meminfo("") == 0


def test_memory_structure_has_the_size_that_windows_expects():
    assert ctypes.sizeof(memory._MemoryStatus) == 64
