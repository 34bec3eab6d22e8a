"""Making a virtual environment whole or not at all. Standard library only: it runs first of all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CancelledError, SetupError
from ..jobs import processes
from ..jobs.workspace import try_lock
from .paths import import_folder, interpreter

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


def is_ready(folder: Path, recipe: Recipe) -> bool:
    """Whether this very environment is there, whole, up to date and where it was made."""
    note = marker(folder)
    return (
        note.get("digest") == recipe.digest
        and note.get("folder") == str(folder.absolute())
        and interpreter(folder).exists()
    )


def make(
    folder: Path,
    recipe: Recipe,
    base: Path | None = None,
    observer: Observer | None = None,
    variables: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Make the environment unless it is there already, and return what its check printed.

    An older one is set aside first and comes back if this fails. The marker is written last, so a
    half-made environment is never used. (It is made in its final place: launcher scripts hold it.)

    :param base: the interpreter to make it from; the running one by default.
    :param variables: environment variables to start from; those of this process by default.
    :raises SetupError: ``environment.*`` or ``disk.full``, in one sentence with a remedy.
    :raises CancelledError: if the observer says so; the environment that was there stays.
    """
    observer = observer or Observer()
    folder = folder.absolute()  # the steps have another working folder
    if is_ready(folder, recipe):
        return marker(folder)["checked"]
    base = base or Path(sys.executable)
    base = Path(shutil.which(base) or base).absolute()
    _check_base(base)
    _check_folder(folder, recipe.needed_gb)
    with _alone(folder), _replacing(folder):
        checked = _fill(folder, recipe, _Installer(base, observer, variables))
        note = {"digest": recipe.digest, "folder": str(folder.absolute()), "checked": checked}
        (folder / MARKER).write_text(json.dumps(note, indent=1), "utf-8")
    return checked


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let only one process make an environment at a time."""
    with open(folder.with_name(folder.name + ".lock"), "w+b") as file:
        if not try_lock(file):
            raise SetupError(
                "environment.busy",
                f"Another process is making {folder.name} right now.",
                "Wait until it has ended, then try again.",
            )
        yield


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


@dataclass(frozen=True)
class _Installer:
    """With what the steps are done."""

    base: Path
    observer: Observer
    variables: Mapping[str, str] | None

    def run(self, command: Sequence[str | Path], code: str, message: str, remedy: str) -> list[str]:
        status, lines = observed_run(command, self.observer, import_folder(), self.variables)
        if status:
            raise SetupError(code, message, remedy, "\n".join(lines[-40:]))
        return lines


def _fill(folder: Path, recipe: Recipe, installer: _Installer) -> Any:
    on_step, parts = installer.observer.on_step, len(recipe.steps) + 2
    on_step(0.0, "Making the environment")
    installer.run(
        [installer.base, "-m", "venv", folder],
        "environment.venv_failed",
        "A virtual environment could not be made.",
        "Install Python's venv module (Debian: apt-get install python3-venv).",
    )
    for index, step in enumerate(recipe.steps):
        on_step((index + 1) / parts, step.text)
        installer.run(
            [interpreter(folder), "-m", "pip", "install", "--no-input", *step.arguments],
            "environment.install_failed",
            f"{step.text} failed.",
            "Check the internet connection, the proxy and the disk, then try again; see the log.",
        )
    on_step(1 - 1 / parts, "Checking the environment")
    failure = (
        "environment.check_failed",
        "The new environment does not work.",
        "Try again; if it fails again, report it with the log.",
    )
    lines = installer.run([interpreter(folder), "-c", recipe.check], *failure)
    checked = _last_json(lines)
    if checked is None:
        raise SetupError(*failure, "\n".join(lines[-40:]))
    on_step(1.0, "Ready")
    return checked


def _last_json(lines: Sequence[str]) -> Any:
    """The value of the last line that is JSON: libraries may print after it."""
    for line in reversed(lines):
        try:
            return json.loads(line)
        except ValueError:
            continue
    return None


def _check_base(base: Path) -> None:
    code = "import sys; print(*sys.version_info[:2])"
    try:
        answer = subprocess.run(
            [base, "-c", code],
            env=processes.clean_variables(),
            cwd=import_folder(),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
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


def _check_folder(folder: Path, needed_gb: float) -> None:
    """Refuse a folder that holds something else, cannot be made, or lies on a full disk."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        ours = (folder / "pyvenv.cfg").is_file() or not folder.exists() or not os.listdir(folder)
        free_gb = shutil.disk_usage(folder.parent).free / 1e9
    except OSError as error:
        raise SetupError(
            "environment.not_writable",
            f"The folder for {folder.name} cannot be made ({error.strerror}).",
            "Choose a folder that you may write to.",
        ) from error
    if not ours:
        raise SetupError(
            "environment.not_ours",
            f"The folder {folder.name} holds something else.",
            "Name a new or an empty folder.",
        )
    if free_gb < needed_gb:
        raise SetupError(
            "disk.full",
            f"{folder.name} needs {needed_gb:.1f} GB, and {free_gb:.1f} GB are free.",
            "Free some space or choose another disk.",
        )


def observed_run(
    command: Sequence[str | Path],
    observer: Observer,
    folder: Path,
    variables: Mapping[str, str] | None = None,
) -> tuple[int, list[str]]:
    """Run a command to its end; return its exit status and its lines.

    :param folder: working folder.
    :param variables: environment variables to start from; those of this process by default.
    :raises CancelledError: if the observer says so; no process is left behind.
    """
    process = processes.start(command, processes.clean_variables(variables), folder)
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
