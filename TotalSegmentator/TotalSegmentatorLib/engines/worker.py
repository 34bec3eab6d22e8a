"""The engine process: reads commands from standard input, writes events to standard output.

Started as ``python -m TotalSegmentatorLib.engines.worker``. It takes one command per line
(``run``, ``write_dicom``, ``cancel``) and serves run after run, each in a folder of its own. It
ends when none has come for some minutes, and when standard input closes: then the application is
gone, and so are the run's files. Every process that an engine has started ends with it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import multiprocessing
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TextIO

from ..dicom.orders import Order, Written
from ..jobs import EngineResult, Event, Failed, Finished, JobContext, Request, Started
from ..jobs.events import PROTOCOL, to_line
from ..jobs.workspace import is_owned
from . import spec
from .console import ConsoleTap
from .contract import Reporter, Run
from .failures import classify
from .kept import Kept
from .memory import give_back_memory, has_much_memory

# Long enough to look at a result and to ask for the next one; the memory is free after that.
_IDLE_S = 300.0
# A batch's next run comes sooner, and is 2 s faster on memory that is still this process's own.
_PAUSE_S = 15.0


def take_protocol_stream() -> TextIO:
    """Keep standard output for the protocol and point descriptor 1 at the log (descriptor 2).

    After this nothing that a library prints, from Python or from C, can reach the protocol. The
    duplicate is not inherited by child processes.
    """
    protocol = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)
    return protocol


def take_command_stream() -> BinaryIO:
    """Keep standard input for the commands and leave an empty one to everybody else.

    nnU-Net forks: a child that closed a ``sys.stdin`` on which a thread of its parent waits would
    wait for ever for that thread's lock.
    """
    commands = os.fdopen(os.dup(0), "rb", buffering=0)
    sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115  (open until the process ends)
    os.dup2(sys.stdin.fileno(), 0)
    return commands


def end_tree() -> NoReturn:
    """End this process and its descendants, at once."""
    if sys.platform == "win32":
        tree = ["taskkill", "/PID", str(os.getpid()), "/T", "/F"]
        subprocess.run(tree, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    elif os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Let this process, what it starts, and all temporary files be in a folder for one run.

    Engines put copies of the image into temporary files, and a killed one cannot remove them.
    """
    outside = Path.cwd()
    os.chdir(folder)
    os.environ.update(dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder)))
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        end_children()
        os.chdir(outside)  # Windows cannot remove the folder that a process is in


def end_children() -> None:
    """End the processes that an engine has left over, and let the next ones use the folder of
    their own run: multiprocessing goes on with the first one."""
    for child in multiprocessing.active_children():
        child.kill()
        child.join()
    multiprocessing.current_process()._config.pop("tempdir", None)  # type: ignore[attr-defined]


def leave_devices() -> None:
    """Let go of the values of a run, and of the GPU's memory that no kept value uses."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if torch and torch.backends.mps.is_available():
        torch.mps.empty_cache()


class Worker:
    """Serves the commands of one application."""

    def __init__(self, protocol: TextIO) -> None:
        self._protocol = protocol
        self._folder: Path | None = None
        self._writing = threading.Lock()
        self._ending = threading.Lock()
        self._runs: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
        self._context = JobContext(self.emit)
        self._kept = Kept()
        self._work: dict[str, Callable[[Mapping[str, Any]], EngineResult | Written]] = {
            "run": self._run,
            "write_dicom": self._write_dicom,
        }

    def emit(self, event: Event) -> None:
        try:
            with self._writing:
                self._protocol.write(to_line(event) + "\n")
                self._protocol.flush()
        except OSError:  # nobody reads any more
            self._end_with_application()

    def read_commands(self, stream: BinaryIO) -> None:
        """Runs in a thread, so that a cancel is seen while an engine works."""
        try:
            for line in stream:
                self._take(json.loads(line))
        finally:  # also after half a line: its writer was killed
            self._end_with_application()

    def _take(self, command: Mapping[str, Any]) -> None:
        if command.get("v") != PROTOCOL:
            return
        if command["command"] in self._work:
            self._folder = Path(command["folder"])
            self._context.cancelled.clear()
            self._runs.put(command)
        elif command["command"] == "cancel":
            self._context.cancelled.set()

    def _end_with_application(self) -> NoReturn:
        """Remove the files of the last run, and end this process and its descendants.

        A folder that is no run's private one, or that is to be kept, is left alone.
        """
        self._ending.acquire()  # for ever: another thread would end the process half-way
        if self._folder and is_owned(self._folder):
            os.chdir(self._folder.parent)  # see working_in()
            shutil.rmtree(self._folder, ignore_errors=True)
        end_tree()

    def serve(self, idle_s: float) -> None:
        """Serve runs until none has come for so long."""
        with contextlib.suppress(queue.Empty):
            while True:
                command = self._next_run(idle_s)
                self.emit(Started(os.getpid()))
                self.emit(self._answer(command))
                leave_devices()

    def _next_run(self, idle_s: float) -> Mapping[str, Any]:
        """Wait for it; meanwhile memory goes back to the system, at once if it is much.

        :raises queue.Empty: none has come for so long.
        """
        pause_s = 0 if has_much_memory() else min(_PAUSE_S, idle_s)
        with contextlib.suppress(queue.Empty):
            return self._runs.get(timeout=pause_s)
        give_back_memory()
        return self._runs.get(timeout=idle_s - pause_s)

    def _answer(self, command: Mapping[str, Any]) -> Event:
        try:
            with working_in(Path(command["folder"])):
                return Finished(self._work[command["command"]](command).to_dict())
        except BaseException as error:  # SystemExit too: the official package uses it
            return Failed(classify(error).to_dict())

    def _run(self, command: Mapping[str, Any]) -> EngineResult:
        request = Request.from_dict(command["request"])
        declaration = spec(request.engine)
        report = Reporter(declaration, self._context)
        tap = ConsoleTap(report.log)
        with contextlib.redirect_stdout(tap), contextlib.redirect_stderr(tap):
            engine = importlib.import_module(f"{__package__}.{request.engine}.engine")
            return engine.run(
                Run(
                    request=request,
                    options=declaration.parse_options(request.options),
                    image=Path(command["image"]),
                    labels=Path(command["labels"]),
                    report=report,
                    folder=Path(command["labels"]).parent,
                    kept=self._kept,
                )
            )

    def _write_dicom(self, command: Mapping[str, Any]) -> Written:
        from ..dicom.writing.writing import write  # highdicom takes time and memory

        return write(Order.from_dict(command["order"]), self._context)


def main(idle_s: float = _IDLE_S) -> None:
    """Serve until standard input closes, or no run has come for a while."""
    worker = Worker(take_protocol_stream())
    commands = take_command_stream()
    threading.Thread(target=worker.read_commands, args=(commands,), daemon=True).start()
    if sys.platform != "win32":
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()  # here, as it stays in the folder that it is started in
    with contextlib.suppress(ModuleNotFoundError):  # a run will tell
        import torch  # noqa: F401  (every engine needs it; the application prepares the image yet)
    worker.serve(idle_s)
    end_tree()


if __name__ == "__main__":
    main()
