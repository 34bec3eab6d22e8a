"""The engine process: reads commands from standard input, writes events to standard output.

Started as ``python -m TotalSegmentatorLib.engines.worker``. It takes one command per line
(``run``, ``cancel``), serves run after run, and ends when standard input closes: then the
application is gone, and so are the run's files and every process that an engine has started.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from ..errors import SegmentationError
from ..jobs import EngineResult, Event, Failed, Finished, JobContext, Request, Started
from ..jobs.events import PROTOCOL, to_line
from ..jobs.workspace import PREFIX
from . import spec
from .console import ConsoleTap
from .contract import Reporter, Run
from .failures import classify


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


def end_with_application(folder: Path) -> None:
    """Remove the run's files and end this process and its descendants, at once.

    :param folder: the run's private folder; another one is left alone.
    """
    with contextlib.suppress(OSError):
        os.chdir(folder.parent)  # Windows keeps the folder that a process is in
    if folder.name.startswith(PREFIX):
        shutil.rmtree(folder, ignore_errors=True)
    if sys.platform == "win32":
        tree = ["taskkill", "/PID", str(os.getpid()), "/T", "/F"]
        subprocess.run(tree, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    elif os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


class Worker:
    """Serves the commands of one application."""

    def __init__(self, protocol: TextIO) -> None:
        self._protocol = protocol
        self._folder = Path.cwd()
        self._writing = threading.Lock()
        self._runs: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
        self._context = JobContext(self.emit)

    def emit(self, event: Event) -> None:
        try:
            with self._writing:
                self._protocol.write(to_line(event) + "\n")
                self._protocol.flush()
        except OSError:  # nobody reads any more
            end_with_application(self._folder)

    def read_commands(self, stream: BinaryIO) -> None:
        """Runs in a thread, so that a cancel is seen while an engine works."""
        try:
            for line in stream:
                self._take(json.loads(line))
        finally:  # also after half a line: its writer was killed
            end_with_application(self._folder)

    def _take(self, command: Mapping[str, Any]) -> None:
        if command.get("v") != PROTOCOL:
            return
        if command["command"] == "run":
            self._runs.put(command)
        elif command["command"] == "cancel":
            self._context.cancelled.set()

    def serve(self) -> None:
        self.emit(Started(os.getpid()))
        while True:
            command = self._runs.get()
            self._context.cancelled.clear()
            try:
                self.emit(Finished(self._run(command).to_dict()))
            except SegmentationError as error:
                self.emit(Failed(error.to_dict()))
            except BaseException as error:  # SystemExit too: the official package uses it
                self.emit(Failed(classify(error).to_dict()))

    def _run(self, command: Mapping[str, Any]) -> EngineResult:
        request = Request.from_dict(command["request"])
        declaration = spec(request.engine)
        report = Reporter(declaration, self._context)
        tap = ConsoleTap(report.log)
        sys.stdout = sys.stderr = tap  # type: ignore[assignment]
        engine = importlib.import_module(f"{__package__}.{request.engine}.engine")
        return engine.run(
            Run(
                request=request,
                options=declaration.parse_options(request.options),
                image=Path(command["image"]),
                labels=Path(command["labels"]),
                report=report,
                folder=Path(command["labels"]).parent,
            )
        )


def main() -> None:
    """Serve until standard input closes."""
    worker = Worker(take_protocol_stream())
    commands = take_command_stream()
    threading.Thread(target=worker.read_commands, args=(commands,), daemon=True).start()
    worker.serve()


if __name__ == "__main__":
    main()
