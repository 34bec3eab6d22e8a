"""``bundle``: one file for a computer without internet."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import catalog, environment
from ..catalog import Model, Task, archive
from ..environment import Observer, bundle
from ..environment.bundle import Contents, Packages
from ..environment.bundle.contents import WEIGHTS, WHEELS
from ..environment.engine import fixed_folder
from ..environment.lock import specification
from ..environment.torch_builds import find_build, from_mirror
from ..environment.weights import known_models
from ..errors import InputError
from .console import print_json, print_table, progress_bar, say
from .parameters import AsJson, Verbose, Yes
from .setup import agree

EXAMPLES = """Examples:

slicer-totalsegmentator bundle create for-the-ward.zip --platform windows --task total

slicer-totalsegmentator bundle create weights.zip --no-engine --all-weights

slicer-totalsegmentator bundle install for-the-ward.zip"""

app = typer.Typer(
    no_args_is_help=True, help="One file for a computer without internet.", epilog=EXAMPLES
)

File = Annotated[Path, typer.Argument(help="The bundle.", show_default=False)]


@app.command()
def create(
    target: Annotated[Path, typer.Argument(help="The file to make.", show_default=False)],
    task: Annotated[
        list[str] | None,
        typer.Option(help="With the weights of this task; may be given several times."),
    ] = None,
    all_weights: Annotated[
        bool, typer.Option("--all-weights", help="With all weights that need no licence number.")
    ] = False,
    no_weights: Annotated[bool, typer.Option("--no-weights", help="Without weights.")] = False,
    no_engine: Annotated[
        bool, typer.Option("--no-engine", help="Without the engine: weights alone.")
    ] = False,
    platform: Annotated[
        str,
        typer.Option(
            help=f"For which computers: {', '.join(bundle.PLATFORMS)}; by default such as this.",
            show_default=False,
        ),
    ] = "",
    python: Annotated[
        str, typer.Option(help="Version of the Python there; inside Slicer this one.")
    ] = specification()["python"],
    build: Annotated[str, typer.Option(help="PyTorch build; see 'setup --help'.")] = "cpu",
    no_python: Annotated[
        bool,
        typer.Option("--no-python", help="Without the Python that is needed inside Slicer."),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older file.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Put the engine and weights into one file."""
    say.verbose = verbose
    if [bool(task), all_weights, no_weights].count(True) != 1:
        raise InputError(
            "input.which_weights",
            "Which weights go into the bundle was not said.",
            "Give one of --task, --all-weights and --no-weights.",
        )
    packages = None if no_engine else _packages(platform, python, build, not no_python)
    wanted = _models(task or [], all_weights)
    models = [model for model in wanted if bundle.may_hold(model)]
    others = [model.folder for model in wanted if model not in models]
    if others:
        reason = "they need a licence number, or their terms were not accepted"
        say.line(f"Left out, as {reason}: {', '.join(others)}.")
    if not yes:
        agree(_question(target, packages, models), "The bundle was not made.")
    with _observer() as observer:
        weights = environment.weights_folder()
        contents = bundle.create(target, packages, models, weights, observer, overwrite)
    _print(target, contents, as_json)


def _packages(platform: str, python: str, build: str, with_python: bool) -> Packages:
    name = platform or bundle.own_platform()
    known = bundle.PLATFORMS.get(name)
    if not known:
        raise InputError(
            "input.unknown_platform",
            f"Bundles cannot be made for '{name}'." if name else "This computer is of a rare kind.",
            f"Choose --platform from: {', '.join(bundle.PLATFORMS)}.",
        )
    found = find_build(build, "-".join(known.system))
    found = from_mirror(found, environment.load_settings().torch_index)
    # Inside Slicer no other version is used.
    return Packages(known, python, found, with_python and python == specification()["python"])


def _models(names: Sequence[str], all_weights: bool) -> list[Model]:
    """What the tasks need, at all speeds and with all ways to crop."""
    if all_weights:
        return [model for model in known_models().values() if archive(model)]
    return list(dict.fromkeys(model for name in names for model in _needed(catalog.task(name))))


def _needed(task: Task) -> Iterator[Model]:
    one = list(task.labels.values())[:1]
    for speed in task.speeds:
        for robust in (False, True):
            yield from task.required_models(speed, robust_crop=robust)
            yield from task.required_models(speed, one, robust)


def _question(target: Path, packages: Packages | None, models: Sequence[Model]) -> str:
    missing = environment.missing_models(models, environment.weights_folder())
    download = environment.download_mb(missing)
    parts = [f"{len(models)} models"] if models else []
    if packages:
        download += packages.download_mb
        platform = f"{packages.platform.title} with Python {packages.python}"
        parts.insert(0, f"{packages.build.title} and TotalSegmentator for {platform}")
    what = " and ".join(parts) or "nothing"
    return f"{target.name} will hold {what}; about {download} MB are downloaded. Make it now?"


@app.command()
def install(
    file: File, yes: Yes = False, as_json: AsJson = False, verbose: Verbose = False
) -> None:
    """Install what is in a bundle; no network is used."""
    say.verbose = verbose
    contents = bundle.read(file)
    bundle.check_fits(file, contents)
    if not yes:
        agree(
            f"{_sentence(file, contents)} Programs in it will run on this computer: take it only "
            "from people you trust. Install it now?",
            "Nothing was installed.",
        )
    with _observer() as observer:
        weights = environment.weights_folder()
        done = bundle.install(file, weights, fixed_folder(), observer)
    found, names = done.environment, [entry.model.folder for entry in done.weights]
    if as_json:
        name, versions = (found.name, dict(found.versions)) if found else (None, {})
        print_json({"environment": name, "versions": versions, "weights": names})
        return
    if found:
        print("Ready: " + ", ".join(f"{name} {text}" for name, text in found.versions.items()))
    if names:
        print(f"Weights: {', '.join(names)}")


@app.command()
def show(file: File, as_json: AsJson = False) -> None:
    """Show what is in a bundle."""
    _print(file, bundle.read(file), as_json)


@contextmanager
def _observer() -> Iterator[Observer]:
    with progress_bar() as bar:
        yield Observer(on_step=bar.show, on_line=say.detail)


def _print(path: Path, contents: Contents, as_json: bool) -> None:
    if as_json:
        values: dict[str, Any] = dataclasses.asdict(contents)
        print_json({**values, "size_bytes": contents.size_bytes})
        return
    print(_sentence(path, contents))
    rows = [(m.name, f"{m.size / 1e6:.1f}") for m in contents.members]
    print_table("", ("File", "MB"), rows)


def _sentence(path: Path, contents: Contents) -> str:
    """What a bundle holds, for whom, and who made it when."""
    parts = []
    if contents.lock:
        platform = bundle.title_of(contents.system)
        parts.append(
            f"{len(contents.within(WHEELS))} packages (PyTorch build {contents.torch_build}) for "
            f"{platform} with Python {contents.python}"
        )
    if count := len(contents.within(WEIGHTS)):
        parts.append(f"the weights of {count} models")
    return (
        f"{path.name} holds {' and '.join(parts)}, {contents.size_bytes / 1e6:.0f} MB; made on "
        f"{contents.made} by version {contents.product} of the extension."
    )
