"""How a lack of memory is recognised, and what is none."""

from __future__ import annotations

import pytest

from TotalSegmentatorLib.jobs.shortage import (
    GPU,
    MAIN,
    is_end_by_shortage,
    shortage_error,
    shortage_in,
)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 3.81 GiB total)", GPU),
        ("CUDA error: out of memory", GPU),
        ("HIP out of memory. Tried to allocate 20.00 MiB.", GPU),
        ("MPS backend out of memory (MPS allocated: 17.95 GB)", GPU),
        ("torch.OutOfMemoryError: no more", GPU),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", GPU),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)", GPU),
        ("MemoryError", MAIN),
        ("numpy._core._exceptions._ArrayMemoryError: Unable to allocate 8.00 GiB", MAIN),
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.", MAIN),
        ("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes.", MAIN),
        ("[Errno 12] Cannot allocate memory", MAIN),
        ("terminate called after throwing an instance of 'std::bad_alloc'", MAIN),
        ("bad allocation", MAIN),
        ("Failed to allocate memory for image.", MAIN),
        ("OSError: [WinError 1455] Die Auslagerungsdatei ist zu klein", MAIN),
        ("The paging file is too small for this operation to complete.", MAIN),
        ("CUDA error: device-side assert triggered", ""),
        ("[WinError 145] The directory is not empty", ""),
        ("No space left on device", ""),
        ("CUDA is ready\nThe network is", ""),
        ("", ""),
    ],
)
def test_what_libraries_say(text, code):
    assert shortage_in(text) == code
    assert shortage_in(f"A line before.\n{text}\nand one after") == code


@pytest.mark.parametrize("code", [-9, 137, 0xC0000017, 0xC000012D, 0xC0000017 - 2**32])
def test_exit_codes_of_a_shortage(code):
    assert is_end_by_shortage(code)


@pytest.mark.parametrize("code", [0, 1, 9, -6, -11, -15, 134, 139, 0xC0000005, 0xC0000005 - 2**32])
def test_other_exit_codes(code):
    assert not is_end_by_shortage(code)


def test_errors_have_a_sentence_and_a_remedy():
    for code in (GPU, MAIN):
        error = shortage_error(code, details="log")
        assert error.code == code and error.exit_code == 4 and error.details == "log"
        assert error.message.endswith(".") and error.remedy.endswith(".")
    assert shortage_error(MAIN, "Told.").message == "Told."
