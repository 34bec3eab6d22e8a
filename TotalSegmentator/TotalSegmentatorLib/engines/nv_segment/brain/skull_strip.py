"""Skull stripping by a command of the user, e.g. of SynthStrip or HD-BET.

The command's words are split as a shell does, but no shell runs it. ``{input}`` stands for the
head's file; the command writes the brain to ``{output}``, or its mask to ``{mask}``. All are
compressed NIfTI files in a private folder, which is removed with everything in it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ....errors import InputError, SetupError
from ....images import Image, read_image, read_labelmap, same_grid, write_nifti
from ....jobs import processes
from ...contract import Reporter
from .recognition import SAME_PLACE_MM, brain_alone

_INPUT, _OUTPUT, _MASK = "{input}", "{output}", "{mask}"
_NAMES = {_INPUT: "head.nii.gz", _OUTPUT: "brain.nii.gz", _MASK: "mask.nii.gz"}
_GUARD = Path(__file__).with_name("guard.py")
# The engine's Python is told to leave these packages alone, but the command's may need them.
_OF_THE_ENGINE = ("PYTHONNOUSERSITE", "PYTHONSAFEPATH")
_PAUSE_S = 0.05
_LAST_WORDS_S = 1.0
_LINES_KEPT = 100


def strip_skull(command: str, image: Image, folder: Path, report: Reporter) -> np.ndarray:
    """The brain's mask, by a command.

    :param command: one line, as people write it.
    :param folder: private folder for intermediate files.
    :param report: gets the lines that the command prints, and says when to stop.
    :return: bool (K, J, I).
    :raises InputError: ``input.bad_option``.
    :raises SetupError: ``environment.skull_strip_missing``, ``environment.skull_strip_failed``.
    :raises CancelledError: if the run was cancelled; the command is ended.
    """
    words = split_command(command)
    wanted = _MASK if any(_MASK in word for word in words) else _OUTPUT
    program = _program(words[0])
    with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as name:
        place = Path(name)
        files = {word: place / file for word, file in _NAMES.items()}
        write_nifti(image, files[_INPUT])
        _run([program, *(_filled(word, files) for word in words[1:])], place, report)
        return _result(files[wanted], wanted, image, Path(program).name)


def split_command(command: str, windows: bool = sys.platform == "win32") -> list[str]:
    """The words of a command: blanks divide them, quotes keep them together.

    :param windows: whether a backslash is a letter like any other, as paths have it there.
    :raises InputError: ``input.bad_option``.
    """
    lexer = shlex.shlex(command, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    lexer.escape = "" if windows else "\\"
    try:
        words = list(lexer)
    except ValueError as error:  # a quote that is not closed
        raise _bad_command("has a quote that is not closed", str(error)) from error
    text = " ".join(words[1:])
    if _INPUT not in text or not (_OUTPUT in text or _MASK in text):
        raise _bad_command(f"lacks {_INPUT}, or {_OUTPUT} or {_MASK}")
    return words


def _bad_command(what: str, details: str = "") -> InputError:
    return InputError(
        "input.bad_option",
        f"The skull-stripping command {what}.",
        f"Write it like this: mri_synthstrip -i {_INPUT} -o {_OUTPUT}",
        details,
    )


def _program(name: str) -> str:
    """The program's path.

    :raises SetupError: ``environment.skull_strip_missing``.
    """
    path = shutil.which(name)
    if path is None:
        raise SetupError(
            "environment.skull_strip_missing",
            f"The skull-stripping program {Path(name).name} was not found.",
            "Install it, or give its whole path.",
        )
    return path


def _filled(word: str, files: dict[str, Path]) -> str:
    for placeholder, path in files.items():
        word = word.replace(placeholder, str(path))
    return word


def _run(command: Sequence[str], folder: Path, report: Reporter) -> None:
    """Run a command to its end, and end everything that it started."""
    variables = {key: value for key, value in os.environ.items() if key not in _OF_THE_ENGINE}
    process = processes.start([sys.executable, "-I", _GUARD, *command], variables, folder)
    assert process.stdout and process.stderr
    lines: list[str] = []
    complaints: list[str] = []

    def complain(line: str) -> None:
        complaints.append(line)
        lines.append(line)

    readers = [
        processes.read_lines(process.stdout, lines.append),
        processes.read_lines(process.stderr, complain),
    ]
    told = 0
    try:
        while process.poll() is None:
            report.check()
            for line in lines[told:]:
                report.log(line)
                told += 1
            time.sleep(_PAUSE_S)
    finally:
        processes.kill_tree(process)
        for reader in readers:
            reader.join(timeout=_LAST_WORDS_S)
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()  # type: ignore[union-attr]
    for line in lines[told:]:
        report.log(line)
    if process.returncode:
        # Between the two pipes nobody knows which line came last.
        last = (complaints or lines or [f"exit code {process.returncode}"])[-1]
        raise _failed(Path(command[0]).name, f"failed: {last.rstrip('.')}", lines)


def _result(path: Path, wanted: str, image: Image, program: str) -> np.ndarray:
    if not path.is_file():
        raise _failed(program, f"ended without a file for {wanted}")
    try:
        found = read_labelmap(path) if wanted == _MASK else read_image(path)[0]
    except InputError as error:
        raise _failed(program, f"wrote a file of no use: {error.message.rstrip('.')}") from error
    if not same_grid(found, image, SAME_PLACE_MM):
        raise _failed(program, "wrote a file that does not lie on the image's grid")
    mask = found.array > 0 if wanted == _MASK else brain_alone(found)
    if mask is None:
        raise _failed(program, "wrote an image that does not show a brain without skull")
    return mask


def _failed(program: str, what: str, lines: Sequence[str] = ()) -> SetupError:
    return SetupError(
        "environment.skull_strip_failed",
        f"The skull-stripping command {program} {what}.",
        "Try the command by itself, or give a brain mask.",
        "\n".join(lines[-_LINES_KEPT:]),
    )
