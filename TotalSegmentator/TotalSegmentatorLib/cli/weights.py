"""``weights``: the trained models on this computer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from .. import catalog, environment
from ..catalog import Model, Task
from ..catalog.names import did_you_mean
from ..environment import Observer
from ..environment.findings import ERROR, worst
from ..environment.weights import (
    Way,
    WeightsEntry,
    entries,
    import_weights,
    known_models,
    obtain,
    remove,
    tasks_of,
    verify,
)
from ..errors import EXIT_ENVIRONMENT, InputError
from .console import print_json, print_table, progress_bar, say
from .parameters import AsJson, Yes
from .setup import agree, agree_to_terms

EXAMPLES = (
    "Examples: slicer-totalsegmentator weights download total --speed fast; "
    "slicer-totalsegmentator weights import Dataset297_TotalSegmentator_total_3mm_1559subj.zip"
)
app = typer.Typer(
    no_args_is_help=True, help="The trained models on this computer.", epilog=EXAMPLES
)

Names = Annotated[
    list[str],
    typer.Argument(
        help="Tasks, or models by name or number; see 'weights list'.", show_default=False
    ),
]
Folder = Annotated[Path | None, typer.Option(help="The folder for weights.", show_default=False)]


@app.command("list")
def list_(
    names: Annotated[
        list[str] | None, typer.Argument(help="Tasks or models; all by default.")
    ] = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """List the models of the tasks, and whether they are on this computer."""
    wanted = _models(names, _own_models) if names else known_models().values()
    _print(_entries(wanted, _folder(folder)), as_json)


@app.command()
def download(
    names: Names,
    speed: Annotated[
        str, typer.Option(help="One of the tasks' speeds; all by default.", show_default=False)
    ] = "",
    mirror: Annotated[
        str, typer.Option(help="Base URL to use instead of GitHub's.", show_default=False)
    ] = "",
    trust_mirror: Annotated[
        bool,
        typer.Option("--trust-mirror", help="Take from a mirror also what cannot be checked."),
    ] = False,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Download what tasks need, and what is damaged again. What is there stays."""

    def needed(task: Task) -> Iterator[Model]:
        for one in [speed] if speed else task.speeds:
            yield from task.required_models(one)

    place, wanted = _folder(folder), _models(names, needed)
    way = Way(mirror.rstrip("/"), trust_mirror) if mirror else Way(trust_mirror=trust_mirror)
    missing = environment.missing_models(wanted, place)
    agree_to_terms([task for model in missing for task in tasks_of(model)])
    with _observer() as observer:
        obtain(wanted, place, observer, way)
    _print(_entries(wanted, place), as_json)


@app.command("import")
def import_(
    paths: Annotated[
        list[Path],
        typer.Argument(help="Archives or checkpoints (.pt), or folders with these or with models."),
    ],
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Add models from files, as they are published or as the official package unpacks them."""
    found: list[WeightsEntry] = []
    with _observer() as observer:
        for path in paths:
            found += import_weights(path, _folder(folder), observer)
    _print(found, as_json)


@app.command("verify")
def verify_(
    names: Annotated[
        list[str] | None, typer.Argument(help="Tasks or models; all that are there by default.")
    ] = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Compare the models with the checksums that were noted when they were got."""
    wanted = _models(names, _own_models) if names else list(known_models().values())
    with _observer() as observer:
        findings = verify(_folder(folder), wanted, observer)
    if as_json:
        print_json([finding.to_dict() for finding in findings])
    else:
        rows = [(one.state, one.message, one.remedy) for one in findings]
        print_table("", ("State", "Weights", "Remedy"), rows)
    if worst(findings) == ERROR:
        raise typer.Exit(EXIT_ENVIRONMENT)


@app.command("remove")
def remove_(names: Names, yes: Yes = False, folder: Folder = None) -> None:
    """Delete models from this computer."""
    place, wanted = _folder(folder), _models(names, _own_models)
    there = [entry for entry in _entries(wanted, place) if entry.state != "missing"]
    if there and not yes:
        shown = ", ".join(entry.model.folder for entry in there)
        agree(f"Delete {shown} from {place}?", "Nothing was deleted.")
    with _observer() as observer:
        freed = remove(wanted, place, observer)
    what = "1 model was" if len(there) == 1 else f"{len(there)} models were"
    say.line(f"{what} deleted; {freed / 1e6:.0f} MB are free again.")


def _folder(folder: Path | None) -> Path:
    return (folder or environment.weights_folder()).absolute()


@contextmanager
def _observer() -> Iterator[Observer]:
    with progress_bar() as bar:
        yield Observer(on_step=bar.show, on_line=say.detail)


def _own_models(task: Task) -> Iterator[Model]:
    for models in task.speeds.values():
        yield from models


def _models(names: Iterable[str], models_of: Callable[[Task], Iterable[Model]]) -> list[Model]:
    """The models that names stand for: of tasks, or their own names or numbers.

    :raises InputError: ``input.unknown_weights``, ``input.unknown_speed``.
    """
    known = known_models()
    tasks = {task.id: task for task in catalog.tasks() if not task.model_folder}
    found: list[Model] = []
    for name in names:
        if name in tasks:
            found += models_of(tasks[name])
            continue
        called = [m for m in known.values() if name in (m.folder, m.key)]
        if not called:
            raise InputError(
                "input.unknown_weights",
                f"There is no task or model '{name}'.",
                did_you_mean(name, {one: one for one in (*tasks, *known)})
                or "See the list of weights.",
            )
        found += called
    return list(dict.fromkeys(found))


def _entries(models: Iterable[Model], folder: Path) -> list[WeightsEntry]:
    wanted = set(models)
    return [entry for entry in entries(folder) if entry.model in wanted]


def _print(found: Sequence[WeightsEntry], as_json: bool) -> None:
    if as_json:
        print_json([_values(entry) for entry in found])
        return
    rows = [
        (
            entry.model.folder,
            " ".join(entry.tasks),
            f"{entry.size_bytes / 1e6:.0f}" if entry.size_bytes else "-",
            _licence(entry),
            f"{entry.state}, verified" if entry.verified else entry.state,
        )
        for entry in found
    ]
    print_table("", ("Model", "Tasks", "MB", "Licence", "State"), rows)


def _licence(entry: WeightsEntry) -> str:
    if entry.licensed:
        return "number needed"
    return catalog.terms(entry.terms).title if entry.terms else ""


def _values(entry: WeightsEntry) -> dict[str, object]:
    archive = entry.archive
    return {
        "model": entry.model.folder,
        "dataset_id": entry.model.dataset_id,
        "tasks": list(entry.tasks),
        "state": entry.state,
        "verified": entry.verified,
        "licensed": entry.licensed,
        "terms": entry.terms,
        "size_bytes": entry.size_bytes,
        "archive": archive.key if archive else None,
        "sha256": (archive.sha256 or None) if archive else None,
        "md5": (archive.md5 or None) if archive else None,
    }
