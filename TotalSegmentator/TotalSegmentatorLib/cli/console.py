"""What people see on the terminal. Results go to standard output, all else to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from .. import jobs
from ..errors import SegmentationError
from ..jobs import Event

_OTHER_WAY_HINT = " Here --fall-back goes another way by itself, if there is one."
_ANYWAY_HINT = f"{_OTHER_WAY_HINT} --anyway tries it all the same."
# What an error's own remedy, which every face shows, cannot name.
_HINTS = {
    "weights.missing": " Here --yes allows it, and the command 'weights' does it beforehand.",
    "memory.exhausted": _OTHER_WAY_HINT,
    "memory.will_not_fit": _ANYWAY_HINT,
    "gpu.out_of_memory": _OTHER_WAY_HINT,
    "gpu.will_not_fit": _ANYWAY_HINT,
    "licence.missing": " Here the command 'licence set' stores it.",
    "licence.not_accepted": " Here 'licence accept' does so, see 'licence terms'.",
    "licence.offline": " Here --unchecked does so.",
}


class Say:
    """Lines for people, on standard error."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self.verbose = False

    def line(self, text: str) -> None:
        """A line that always appears."""
        self.console.print(text)

    def detail(self, text: str) -> None:
        """A line for the search of errors; appears with ``--verbose``."""
        if self.verbose and text:
            self.console.print(text, style="dim")

    def error(self, error: SegmentationError) -> None:
        """An error as one line; its details only with ``--verbose``."""
        self.detail(error.details)
        self.console.print(f"error: {error}{_HINTS.get(error.code, '')} [{error.code}]")

    def event(self, event: Event, prefix: str = "") -> None:
        """An event of a run that is not shown by a bar.

        :param prefix: which run of several it is.
        """
        if isinstance(event, jobs.Warned):
            self.console.print(f"warning: {prefix}{event.message} [{event.code}]")
        elif isinstance(event, jobs.Log):
            self.detail(event.text)


say = Say()


class Bar:
    """A progress bar with the stage and the time left; plain lines where there is no terminal."""

    def __init__(self, progress: Progress, prefix: str) -> None:
        self._progress = progress
        self._prefix = prefix
        self._phrase = ""
        self._task = progress.add_task(prefix or "Starting", total=1.0, left="")

    def event(self, event: Event) -> None:
        """Follow a run."""
        if isinstance(event, jobs.Stage):
            self.show(None, event.text)
        elif isinstance(event, jobs.Progress):
            left = "" if event.seconds_left is None else f"{_time(event.seconds_left)} left"
            self._progress.update(self._task, completed=event.fraction, left=left)
        else:
            say.event(event, self._prefix)

    def show(self, fraction: float | None, text: str) -> None:
        """Set what is being done, and how far it is (0..1)."""
        self._progress.update(self._task, completed=fraction, description=self._prefix + text)
        phrase = jobs.Stage(text).phrase
        if not say.console.is_terminal and phrase != self._phrase:
            say.line(self._prefix + text)
        self._phrase = phrase

    def remove(self) -> None:
        """Show it no longer."""
        self._progress.remove_task(self._task)


@contextmanager
def progress_bar(prefix: str = "") -> Iterator[Bar]:
    """A bar that disappears at the end."""
    with progress_bars() as bars, bars(prefix) as bar:
        yield bar


@contextmanager
def progress_bars() -> Iterator[Callable[[str], AbstractContextManager[Bar]]]:
    """Bars for work that goes on at the same time, one below the other: each is there as long as
    its context, and may be used by a thread of its own."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}"),
    )
    disabled = not say.console.is_terminal
    with Progress(*columns, console=say.console, transient=True, disable=disabled) as progress:

        @contextmanager
        def bar(prefix: str) -> Iterator[Bar]:
            one = Bar(progress, prefix)
            try:
                yield one
            finally:
                one.remove()

        yield bar


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def print_json(values: Any) -> None:
    """A result for programs, on standard output."""
    json.dump(values, sys.stdout, indent=1, ensure_ascii=False)
    print()


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A result for people, on standard output; columns of numbers are aligned right."""
    table = Table(title=title or None, title_justify="left")
    for index, name in enumerate(header):
        numbers = bool(rows) and all(_is_number(row[index]) for row in rows)
        table.add_column(name, justify="right" if numbers else "left")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:  # a pipe has no width to fold lines to
        console = Console(highlight=False, markup=False, width=200)
    console.print(table)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text in ("", "-")
    return True
