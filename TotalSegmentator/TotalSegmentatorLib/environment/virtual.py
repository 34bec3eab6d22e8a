"""Making a virtual environment whole or not at all. Standard library only: it runs first of all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CancelledError, SetupError
from ..jobs import processes
from .paths import interpreter

MARKER = "ready.json"
SUPPORTED = ((3, 10), (3, 13))


@dataclass(frozen=True)
class Step:
    """One call of pip.

    :param text: what people read while it runs.
    :param arguments: arguments of ``pip install``.
    """

    text: str
    arguments: Sequence[str]


@dataclass(frozen=True)
class Recipe:
    """What an environment holds.

    :param steps: installed in this order.
    :param check: Python code that prints one JSON value if the environment works.
    :param needed_gb: disk space needed in GB (10**9 bytes).
    :param stamp: further text that makes an older environment out of date when it changes.
    """

    steps: Sequence[Step]
    check: str
    needed_gb: float
    stamp: str = ""

    @property
    def digest(self) -> str:
        """Changes whenever the environment must be made anew."""
        text = json.dumps([[list(s.arguments) for s in self.steps], self.check, self.stamp])
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Observer:
    """Who follows the making.

    :param on_step: called with (share done, phrase for people).
    :param on_line: called with every line of pip.
    :param cancelled: returns True when it shall stop.
    """

    on_step: Callable[[float, str], None] = lambda share, text: None
    on_line: Callable[[str], None] = lambda line: None
    cancelled: Callable[[], bool] = lambda: False


def marker(folder: Path) -> dict[str, Any]:
    """What was noted when the environment was made; empty if there is none or it is not whole."""
    try:
        return json.loads((folder / MARKER).read_text("utf-8"))
    except (OSError, ValueError):
        return {}


def make(
    folder: Path, recipe: Recipe, base: Path | None = None, observer: Observer | None = None
) -> dict[str, Any]:
    """Make the environment unless it is there already, and return what its check printed.

    An older one is set aside first and comes back if this fails. The marker is written last, so a
    half-made environment is never used. (It is made in its final place: launcher scripts hold it.)

    :param base: the interpreter to make it from; the running one by default.
    :raises SetupError: ``environment.*`` or ``disk.full``, in one sentence with a remedy.
    :raises CancelledError: if the observer says so; the environment that was there stays.
    """
    observer = observer or Observer()
    ready = marker(folder)
    if ready.get("digest") == recipe.digest and interpreter(folder).exists():
        return ready["checked"]
    base = base or Path(sys.executable)
    _check_base(base)
    _check_disk(folder, recipe.needed_gb)
    with _replacing(folder):
        checked = _fill(folder, recipe, base, observer)
        note = {"digest": recipe.digest, "checked": checked}
        (folder / MARKER).write_text(json.dumps(note, indent=1), "utf-8")
    return checked


@contextmanager
def _replacing(folder: Path) -> Iterator[None]:
    """Set a whole environment aside while a new one is made; put it back if that fails."""
    old = folder.with_name(folder.name + ".old")
    if marker(folder):
        shutil.rmtree(old, ignore_errors=True)
        os.replace(folder, old)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        if old.exists():
            os.replace(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _fill(folder: Path, recipe: Recipe, base: Path, observer: Observer) -> Any:
    observer.on_step(0.0, "Making the environment")
    _run(
        [base, "-m", "venv", folder],
        observer,
        "environment.venv_failed",
        "A virtual environment could not be made.",
        "Install Python's venv module (Debian: apt-get install python3-venv).",
    )
    for index, step in enumerate(recipe.steps):
        observer.on_step((index + 1) / (len(recipe.steps) + 2), step.text)
        _run(
            [interpreter(folder), "-m", "pip", "install", "--no-input", *step.arguments],
            observer,
            "environment.install_failed",
            f"{step.text} failed.",
            "Check the internet connection, the proxy and the disk, then try again; see the log.",
        )
    observer.on_step(1 - 1 / (len(recipe.steps) + 2), "Checking the environment")
    lines = _run(
        [interpreter(folder), "-c", recipe.check],
        observer,
        "environment.check_failed",
        "The new environment does not work.",
        "Try again; if it fails again, report it with the log.",
    )
    observer.on_step(1.0, "Ready")
    return json.loads(lines[-1])


def _check_base(base: Path) -> None:
    code = "import sys; print(*sys.version_info[:2])"
    try:
        answer = subprocess.run(
            [base, "-c", code], capture_output=True, text=True, check=True, timeout=60
        )
        found = tuple(int(number) for number in answer.stdout.split())
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise SetupError(
            "environment.no_interpreter",
            f"{base.name} is not a Python that can be started.",
            "Give another interpreter.",
            str(error),
        ) from error
    low, high = SUPPORTED
    if not low <= found <= high:
        raise SetupError(
            "environment.python_version",
            f"Python {found[0]}.{found[1]} cannot be used.",
            f"Use Python {low[0]}.{low[1]} to {high[0]}.{high[1]}.",
        )


def _check_disk(folder: Path, needed_gb: float) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        free_gb = shutil.disk_usage(folder.parent).free / 1e9
    except OSError as error:
        raise SetupError(
            "environment.not_writable",
            f"The folder for {folder.name} cannot be made ({error.strerror}).",
            "Choose a folder that you may write to.",
        ) from error
    if free_gb < needed_gb:
        raise SetupError(
            "disk.full",
            f"{folder.name} needs {needed_gb:.1f} GB, and {free_gb:.1f} GB are free.",
            "Free some space or choose another disk.",
        )


def _run(
    command: Sequence[str | Path], observer: Observer, code: str, message: str, remedy: str
) -> list[str]:
    status, lines = observed_run(command, observer)
    if status:
        raise SetupError(code, message, remedy, "\n".join(lines[-40:]))
    return lines


def observed_run(command: Sequence[str | Path], observer: Observer) -> tuple[int, list[str]]:
    """Run a command to its end; return its exit status and its lines.

    :raises CancelledError: if the observer says so; no process is left behind.
    """
    process = processes.start(command, processes.clean_variables(), Path.cwd())
    assert process.stdout and process.stderr and process.stdin
    process.stdin.close()
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        observer.on_line(line)

    readers = [processes.read_lines(s, on_line) for s in (process.stdout, process.stderr)]
    try:
        while process.poll() is None:
            if observer.cancelled():
                raise CancelledError(message="The installation was cancelled.")
            try:
                process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
    finally:
        processes.kill_tree(process)
        for reader in readers:
            reader.join()
    return process.returncode, lines
