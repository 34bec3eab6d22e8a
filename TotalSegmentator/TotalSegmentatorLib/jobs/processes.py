"""Starting and ending a process together with everything it starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any


def clean_variables(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment variables for another Python: UTF-8, without this one's settings.

    From 3.11 on it does not import from its working folder, which may be anybody's. A Python 3.10
    does, with ``-m`` and ``-c``, so its working folder must be one that nobody else writes to.

    :param base: variables to start from; those of this process by default. Slicer passes the
        ones it was started with, without its own library paths.
    """
    variables = dict(os.environ if base is None else base)
    for name in (
        "PYTHONHOME",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "PYTHONEXECUTABLE",
        "__PYVENV_LAUNCHER__",
    ):
        variables.pop(name, None)
    names = ("PYTHONUTF8", "PYTHONUNBUFFERED", "PYTHONNOUSERSITE", "PYTHONSAFEPATH")
    variables.update(dict.fromkeys(names, "1"))
    return variables


def start(
    command: Sequence[str | Path], variables: Mapping[str, str], folder: Path
) -> subprocess.Popen[bytes]:
    """Start a process that leads a group of its own, with pipes for all three streams."""
    group: dict[str, int | bool] = {"start_new_session": True}
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        group = {"creationflags": flags}
    return subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(variables),
        cwd=folder,
        **group,  # type: ignore[call-overload]
    )


def read_lines(stream: IO[bytes], on_line: Callable[[str], Any]) -> threading.Thread:
    """Hand on the lines of a pipe that are not empty, in a thread that ends with the pipe."""

    def read() -> None:
        for raw in stream:
            line = raw.decode("utf-8", errors="replace").rstrip()
            if line:
                on_line(line)

    thread = threading.Thread(target=read, name="pipe-reader", daemon=True)
    thread.start()
    return thread


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """End a process of :func:`start` and all its descendants, at once and without asking.

    Descendants may outlive their parent, so this is right after a normal end too. (Slicer ships
    no psutil; the group does the same.)
    """
    if sys.platform == "win32":
        subprocess.run(
            ["taskkill", "/PID", str(process.pid), "/T", "/F"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    else:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # the whole group is gone
    process.wait()
