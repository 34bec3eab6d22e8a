"""Hold a module's code and .ui file against what the real application offers.

The host runs on another Qt than the application, so that code may work here and fail there. This
check needs neither: it reads the source and compares names with the recorded API.

Usage: python -m slicerhost.api_check MODULE.py MODULE.ui [WIDGETS.py ...]
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterable, Sequence
from pathlib import Path

from .api_code import CodeCheck
from .api_ui import Finding, UiFile


def parameter_names(tree: ast.AST) -> set[str] | None:
    """Return the parameters of the classes made by parameterNodeWrapper; None without any."""
    classes = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any("parameterNodeWrapper" in ast.unparse(d) for d in node.decorator_list)
    ]
    if not classes:
        return None
    lines = [line for node in classes for line in node.body]
    return {line.target.id for line in lines if isinstance(line, ast.AnnAssign)}


def check(code: Path, ui: Path | None = None) -> list[Finding]:
    """Return what the application would not understand, in the order of the files.

    :param code: the module's .py file
    :param ui: its .ui file; without one, `self.ui.X` is not looked into
    """
    tree = ast.parse(code.read_text(encoding="utf-8"), str(code))
    widgets: dict[str, str] | None = None
    findings = []
    if ui is not None:
        ui_file = UiFile(ui)
        widgets = ui_file.widgets
        findings += ui_file.findings(parameter_names(tree))
    return findings + CodeCheck(code.name, widgets).findings(tree)


def check_widgets(paths: Iterable[Path], ui: Path | None = None) -> list[Finding]:
    """Return what the application would not understand in files beside the module file.

    :param paths: files whose classes take the widgets of the .ui file as `ui`, `self.ui` or
        `self._ui`, or take them one by one as parameters with annotations
    :param ui: the .ui file; without one, `self.ui.X` is not looked into
    """
    widgets = UiFile(ui).widgets if ui is not None else None
    findings = []
    for path in sorted(paths):
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        findings += CodeCheck(path.name, widgets).findings(tree)
    return findings


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the findings; the exit code is 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("code", type=Path, help="the module's .py file")
    parser.add_argument("ui", type=Path, nargs="?", help="its .ui file")
    parser.add_argument("widgets", type=Path, nargs="*", help="files with parts of the panel")
    options = parser.parse_args(arguments)
    findings = check(options.code, options.ui) + check_widgets(options.widgets, options.ui)
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    raise SystemExit(main())
