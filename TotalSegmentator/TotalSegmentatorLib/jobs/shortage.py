"""How a lack of memory shows: in what libraries say, and in exit codes."""

from __future__ import annotations

import re

from ..errors import SetupError

GPU, MAIN = "gpu.out_of_memory", "memory.exhausted"

# What PyTorch, cuDNN, cuBLAS, their kin for AMD, and Metal say, in small letters.
_GPU_TEXTS = (
    r"\b(cuda|hip|mps|xpu)\b.*out of memory",
    r"out of memory.*\b(cuda|hip|mps|xpu)\b",
    r"\boutofmemoryerror\b",
    r"\b(cudnn|cublas|cufft|cusolver|cusparse|hipblas|hipfft|miopen)_?(status)?_?alloc_failed",
    r"failed to allocate .*mtlbuffer",
)
# Python, NumPy, PyTorch, ITK, the C++ libraries, Linux and Windows; the number stands in messages
# of a Windows in any language.
_MAIN_TEXTS = (
    r"\b_?(array)?memoryerror\b",
    r"(can't|cannot|could not|failed to|unable to) allocate memory",
    r"not enough memory",
    r"out of memory",
    r"bad_alloc|bad allocation",
    r"\[errno 12\]|winerror (8|14|1455)\b|paging file is too small",
)
# What nnU-Net says when a process that it has started is gone, whatever the reason.
_HELPER_GONE = ("background workers died", "background worker is 6 feet under")
# SIGKILL, as Python and as shells tell of it; Windows: no memory, commit limit.
_EXIT_CODES = (-9, 137, 0xC0000017, 0xC000012D)
_UNSIGNED = 0xFFFFFFFF
_ERRORS = {
    GPU: (
        "The GPU's memory ran out.",
        "Choose a faster speed or a smaller region, or run on the CPU.",
    ),
    MAIN: (
        "The computer's memory ran out.",
        "Close other programs, or choose a faster speed or a smaller region.",
    ),
}


def shortage_in(text: str) -> str:
    """The error code for what a text tells: :data:`GPU`, :data:`MAIN`, or empty for neither."""
    text = text.lower()
    for code, patterns in ((GPU, _GPU_TEXTS), (MAIN, _MAIN_TEXTS)):
        if any(re.search(pattern, text) for pattern in patterns):
            return code
    return ""


def tells_of_gone_helper(text: str) -> bool:
    """Whether a process that the engine had started is gone, for a reason that is not told."""
    return any(words in text.lower() for words in _HELPER_GONE)


def shortage_error(code: str, message: str = "", details: str = "") -> SetupError:
    """The error of a code.

    :param code: :data:`GPU` or :data:`MAIN`.
    :param message: what is known besides the code.
    """
    usual, remedy = _ERRORS[code]
    return SetupError(code, message or usual, remedy, details)


def is_end_by_shortage(exit_code: int) -> bool:
    """Whether a process most likely ended because there was no memory.

    :param exit_code: as Python tells it; on Windows it may come with a sign.
    """
    return exit_code in _EXIT_CODES or exit_code & _UNSIGNED in _EXIT_CODES
