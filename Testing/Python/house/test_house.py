"""The rules of the house, read off the sources: imports, lists, names, what must not be there."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from slicerhost.libraries import DEBIAN_PACKAGES, FONT_PACKAGES

ROOT = Path(__file__).resolve().parents[3]
MODULE = ROOT / "TotalSegmentator"
LIBRARY = MODULE / "TotalSegmentatorLib"
SOURCES = sorted(LIBRARY.rglob("*.py"))
FACES = [MODULE / "TotalSegmentator.py", *sorted((MODULE / "TotalSegmentatorWidgets").glob("*.py"))]

# Package -> where it may be imported below the library; the module file and its widgets use
# what is theirs, see test_faces_of_slicer_leave_the_engines_packages_alone.
ALLOWED = {
    "torch": ("engines/",),
    "nnunetv2": ("engines/",),
    "totalsegmentator": ("engines/",),
    "monai": ("engines/",),
    "nibabel": ("engines/",),
    "cc3d": ("engines/",),
    "slicer": ("scene/",),
    "vtk": ("scene/",),
    "qt": (),
    "ctk": (),
    "highdicom": ("dicom/",),
    "pydicom": ("dicom/",),
    "yaml": ("dicom_workflow/",),
    "typer": ("cli/",),
    "rich": ("cli/",),
    "psutil": (),
}

# Rooms from the floor up; a room may import those before it, and its own.
FLOORS = (
    {"errors", "remedies"},
    {"images", "catalog"},
    {"jobs"},
    {"dicom"},
    {"inputs"},
    {"engines"},
    {"report"},
    {"environment", "scene"},
    {"work"},
    {"session"},
    {"runs"},
    {"history"},
    {"estimate"},
    {"memory_guard"},
    {"segment"},
    {"outputs"},
    {"dicom_results"},
    {"dicom_workflow"},
    {"cli"},
)


def relative_name(path: Path) -> str:
    return path.relative_to(LIBRARY).as_posix()


def imported(path: Path) -> list[str]:
    """Absolute names that a file imports, anywhere in it."""
    names = []
    package = ("TotalSegmentatorLib", *path.relative_to(LIBRARY).parent.parts)
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            names += [f"{stem}.{alias.name}" for alias in node.names]
    return names


@pytest.mark.parametrize("path", SOURCES, ids=relative_name)
def test_packages_are_imported_in_their_room_only(path):
    for name in imported(path):
        places = ALLOWED.get(name.split(".")[0])
        if places is not None:
            assert relative_name(path).startswith(places or ("nowhere",)), name


@pytest.mark.parametrize("path", FACES, ids=lambda path: path.name)
def test_faces_of_slicer_leave_the_engines_packages_alone(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        tops = {name.split(".")[0] for name in names}
        assert tops.isdisjoint(set(ALLOWED) - {"slicer", "vtk", "qt", "ctk"}), tops


@pytest.mark.parametrize("path", [*SOURCES, *FACES], ids=lambda path: path.name)
def test_an_engine_is_known_to_its_folder_and_the_catalogue_only(path):
    """But for this project's own engine and the official one, which setup and demo are about."""
    if any(path.is_relative_to(LIBRARY / room) for room in ("engines", "catalog")):
        return
    engines = {engine.parent.name for engine in (LIBRARY / "engines").glob("*/engine.py")}
    assert len(engines) >= 4
    for name in engines - {"nnunet", "totalsegmentator"}:
        assert name not in path.read_text("utf-8")


def room(name: str) -> str | None:
    parts = name.split(".")
    return parts[1] if parts[0] == "TotalSegmentatorLib" and len(parts) > 1 else None


@pytest.mark.parametrize("path", SOURCES, ids=relative_name)
def test_imports_point_down(path):
    own = path.relative_to(LIBRARY).parts[0].removesuffix(".py")
    level = {name: i for i, names in enumerate(FLOORS) for name in names}
    if own == "__init__":
        return
    for name in imported(path):
        other = room(name)
        if other and other != own and other in level:
            assert level[other] < level[own] or {own, other} <= FLOORS[1], name


def test_every_room_has_its_floor():
    rooms = {p.name.removesuffix(".py") for p in LIBRARY.iterdir() if p.name[0] != "_"}
    assert rooms == set().union(*FLOORS)


def test_rooms_for_slicer_import_with_all_else_hidden():
    """catalog, images, jobs, environment and segment need only what Slicer ships."""
    shipped = {"numpy", "scipy", "SimpleITK", "pydicom", "requests", "vtk", "TotalSegmentatorLib"}
    code = f"""
import importlib.abc, sys
shipped = {shipped!r} | set(sys.stdlib_module_names)
class Hide(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        top = name.split(".")[0]
        if top not in shipped and not top.startswith("_"):
            raise ImportError(f"hidden: {{name}}")
sys.meta_path.insert(0, Hide())
import TotalSegmentatorLib.segment, TotalSegmentatorLib.outputs, TotalSegmentatorLib.estimate
from TotalSegmentatorLib import catalog, engines
assert catalog.task("total").labels and engines.specs()
"""
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=MODULE, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr


def test_cmake_lists_every_file():
    command = [sys.executable, ROOT / "Tools" / "build_cmake_lists.py", "--check"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout


def test_ci_installs_the_libraries_that_the_tests_ask_for():
    for place in (ROOT / ".ci" / "run", ROOT / "README.md"):
        text = place.read_text("utf-8")
        missing = [p for p in (*DEBIAN_PACKAGES.values(), *FONT_PACKAGES) if p not in text]
        assert missing == [], place.name


def test_names_of_test_files_differ():
    """pytest imports them by their names alone."""
    names = [path.name for path in (ROOT / "Testing" / "Python").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_parameter_names_of_the_panel_exist():
    names = re.findall(
        r'name="SlicerParameterName" stdset="0"><string>(\w+)<',
        (MODULE / "Resources" / "UI" / "TotalSegmentator.ui").read_text("utf-8"),
    )
    tree = ast.parse((MODULE / "TotalSegmentator.py").read_text("utf-8"))
    (parameters,) = (
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == "TotalSegmentatorParameterNode"
    )
    fields = {node.target.id for node in parameters.body if isinstance(node, ast.AnnAssign)}
    assert names
    assert set(names) <= fields


@pytest.mark.parametrize("path", [*SOURCES, *FACES], ids=lambda path: path.name)
def test_functions_are_short(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef):
            first = node.body[0]
            documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            start = first.end_lineno if documented else node.body[0].lineno - 1
            assert node.end_lineno - start <= 50, node.name
