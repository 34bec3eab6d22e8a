"""Make the two environments of a checkout, `.venv` and `.venv-engine`, if they are not there.

    python3 Tools/bootstrap.py [--application-only]
    python3 Tools/bootstrap.py --slicer-core 5.12.4.0    # .venv-slicer-5.12.4.0, for tests only

Nothing outside the checkout is changed, but for uv and the user's downloads, which are kept. Runs
on a bare Python; older ones are told so.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from TotalSegmentatorLib.environment import Observer

ROOT = Path(__file__).resolve().parents[1]
# Without slicer: it may lack system libraries, which `make test` names and `make demo` can miss.
CHECK = "import SimpleITK, typer, TotalSegmentatorLib"
NOTE = "ready.json"


def main() -> int:
    """Make what is missing; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--application-only", action="store_true", help="leave .venv-engine out")
    parser.add_argument("--slicer-core", help="only an application side with this version of it")
    arguments = parser.parse_args()
    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        found = ".".join(str(n) for n in sys.version_info[:2])
        print(
            f"error: Python {found} cannot be used. Use Python 3.10 to 3.13, e.g. "
            "'make demo PYTHON=python3.12'.",
            file=sys.stderr,
        )
        return 4
    sys.path.insert(0, str(ROOT / "TotalSegmentator"))
    from TotalSegmentatorLib.errors import SegmentationError

    try:
        if arguments.slicer_core:
            make_application(f".venv-slicer-{arguments.slicer_core}", arguments.slicer_core)
        else:
            make_environments(arguments.application_only)
    except SegmentationError as error:
        print(error.details, file=sys.stderr)
        print(f"error: {error} [{error.code}]", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("Cancelled.", file=sys.stderr)
        return 130
    return 0


def make_environments(application_only: bool) -> None:
    """Make the application side with this script's Python, then the engine side."""
    from TotalSegmentatorLib.environment import make_engine

    make_application(".venv")
    if not application_only:
        make_engine(ROOT / ".venv-engine", Path(sys.executable), observer())


def make_application(folder: str, slicer_core: str = "") -> None:
    """Make an application side, unless it is there and up to date.

    It is made in its place, as its launchers hold that; a note, which is written last, tells that
    it is whole.

    :param slicer_core: its version; the newest by default.
    """
    from TotalSegmentatorLib.environment.installers import Console, for_pip, pip_configuration
    from TotalSegmentatorLib.environment.json_files import read_values, write_values
    from TotalSegmentatorLib.environment.paths import interpreter

    place = ROOT / folder
    wanted = ["--editable", f"{ROOT}[headless,test]"]
    wanted += [f"slicer-core=={slicer_core}"] if slicer_core else []
    stamp = json.dumps([wanted, CHECK, (ROOT / "pyproject.toml").read_text("utf-8")])
    note = {"digest": hashlib.sha256(stamp.encode()).hexdigest(), "folder": str(place)}
    python = interpreter(place)
    if read_values(place / NOTE) == note and python.exists():
        return
    (place / NOTE).unlink(missing_ok=True)
    console = Console(observer())
    console.observer.on_step(0.0, f"Making {folder}")
    console.run([sys.executable, "-m", "venv", "--clear", place], f"making {folder}")
    pip = [python, "-m", "pip", "install", "--no-input", *wanted]
    settings = pip_configuration(python, console)
    for_pip(console, settings).run(pip, "installing the command line")
    console.run([python, "-c", CHECK], "trying the command line")
    write_values(place / NOTE, note)


def observer() -> "Observer":
    """Prints the steps."""
    from TotalSegmentatorLib.environment import Observer

    return Observer(on_step=lambda share, text: print(f"[{share:4.0%}] {text}", flush=True))


if __name__ == "__main__":
    sys.exit(main())
