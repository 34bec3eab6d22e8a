"""One engine process: sends it a run, passes on its events, ends it."""

from __future__ import annotations

import collections
import json
import queue
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import EngineError, SegmentationError, SetupError
from . import processes
from .events import PROTOCOL, Event, Failed, Finished, Log, from_line
from .job import JobContext
from .request import Request
from .result import EngineResult

CANCEL_GRACE_S = 3.0
_LAST_WORDS_S = 1.0
_LOG_LINES_KEPT = 200


@dataclass(frozen=True)
class EngineCommand:
    """How an engine process is started.

    :param arguments: the interpreter and its arguments, never a shell line.
    :param variables: its environment variables.
    """

    arguments: Sequence[str | Path]
    variables: Mapping[str, str]

    def start(self, folder: Path) -> subprocess.Popen[bytes]:
        """Start it in a folder; see :func:`.processes.start`.

        :raises SetupError: ``environment.no_interpreter``.
        """
        try:
            return processes.start(self.arguments, self.variables, folder)
        except OSError as error:
            raise SetupError(
                "environment.no_interpreter",
                f"The engine's Python could not be started ({error.strerror}).",
                "Run the setup again.",
                str(error),
            ) from error


def run_message(request: Request, image: Path, labels: Path) -> dict[str, Any]:
    """The protocol's ``run`` command: segment ``image`` (NIfTI) into ``labels`` (NIfTI)."""
    return {
        "v": PROTOCOL,
        "command": "run",
        "request": request.to_dict(),
        "image": str(image),
        "labels": str(labels),
    }


class EngineProcess:
    """One engine process, which serves run after run; a context manager.

    It is started by the first run, and starting is most of a short run's time. On leaving the
    context nothing that it started is alive.

    :param command: how it is started.
    :param folder: its working folder, where it may leave files.
    :param context: receives the events, and says when to stop.
    """

    def __init__(self, command: EngineCommand, folder: Path, context: JobContext) -> None:
        self._command = command
        self._folder = folder
        self._context = context
        self._conversation: _Conversation | None = None

    def __enter__(self) -> EngineProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self._conversation:
            self._conversation.close()

    def run(self, message: Mapping[str, Any], context: JobContext | None = None) -> EngineResult:
        """Run the engine once, to its end.

        :param message: see :func:`run_message`.
        :param context: receives this run's events instead of the context of the process.
        :raises CancelledError: if the context was cancelled.
        :raises SegmentationError: what the engine reported, or ``engine.crashed``.
        """
        if self._conversation is None:
            variables = _variables(self._command, self._folder)
            command = replace(self._command, variables=variables)
            self._conversation = _Conversation(command.start(self._folder))
        return self._conversation.ask(message, context or self._context)


def _variables(command: EngineCommand, folder: Path) -> dict[str, str]:
    """The command's variables, with ``folder`` for all temporary files: engines put copies of the
    image there, and a killed one cannot remove them."""
    return {**command.variables, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))}


class _Conversation:
    """The pipes of one process, read by two threads into one queue."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._context: JobContext
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._tail: collections.deque[str] = collections.deque(maxlen=_LOG_LINES_KEPT)
        assert process.stdout and process.stderr
        self._readers = [
            processes.read_lines(process.stdout, lambda line: self._events.put(from_line(line))),
            processes.read_lines(process.stderr, lambda line: self._events.put(Log(line))),
        ]

    def ask(self, message: Mapping[str, Any], context: JobContext) -> EngineResult:
        """Send a command and listen until its result or its failure comes."""
        self._context = context
        self._tail.clear()
        self._send(message)
        return self._listen()

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write((json.dumps(message) + "\n").encode())
            self._process.stdin.flush()
        except OSError:
            pass  # the process has ended; _listen() finds out why

    def _listen(self) -> EngineResult:
        give_up_at: float | None = None
        while give_up_at is None or time.monotonic() < give_up_at:
            try:
                result = self._handle(self._events.get(timeout=0.1))
                if result:
                    return result
            except queue.Empty:
                if not any(reader.is_alive() for reader in self._readers):
                    break
            if give_up_at is None and self._context.cancelled.is_set():
                self._send({"v": PROTOCOL, "command": "cancel"})
                give_up_at = time.monotonic() + CANCEL_GRACE_S
            elif give_up_at is None and self._process.poll() is not None:
                # Descendants of the engine may hold its pipes open after its end.
                give_up_at = time.monotonic() + _LAST_WORDS_S
        self._context.check()
        raise self._crash()

    def _handle(self, event: Event) -> EngineResult | None:
        if isinstance(event, Finished):
            return EngineResult.from_dict(event.result)
        if isinstance(event, Failed):
            raise self._with_log(event.exception())
        if isinstance(event, Log):
            self._tail.append(event.text)
        self._context.emit(event)
        return None

    def _with_log(self, error: SegmentationError) -> SegmentationError:
        error.details = "\n".join([*self._tail, error.details]).strip()
        return error

    def _crash(self) -> SegmentationError:
        code = self._process.wait()
        if code in (-9, 137):
            error: SegmentationError = SetupError(
                "memory.killed",
                "The operating system ended the engine, most likely because memory ran out.",
                "Close other programs, use a faster speed, or crop the volume.",
            )
        else:
            error = EngineError(
                "engine.crashed",
                f"The engine process ended unexpectedly (exit code {code}).",
                "See the log; if the packages are damaged, run the setup again.",
            )
        return self._with_log(error)

    def close(self) -> None:
        processes.kill_tree(self._process)
        for thread in self._readers:
            thread.join(timeout=CANCEL_GRACE_S)
        while not self._events.empty():  # lines that the other pipe's news overtook
            event = self._events.get()
            if isinstance(event, Log):
                self._context.emit(event)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream:
                try:
                    stream.close()
                except OSError:
                    pass  # unsent bytes to an ended process
