"""Files of surfaces: their names, and that all are written or none. What is in them is tested in
the room of the scene, where surfaces come from.
"""

from __future__ import annotations

import errno
import os
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from TotalSegmentatorLib.errors import InputError, SetupError
from TotalSegmentatorLib.images import mesh_files
from TotalSegmentatorLib.images.mesh_files import (
    Mesh,
    safe_file_names,
    write_glb,
    write_obj,
    write_stl,
)


def triangle(name="T") -> Mesh:
    return Mesh(name, name, (1, 2, 3), np.eye(3), np.array([[0, 1, 2]]), None, np.eye(4))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["liver", "Liver", "LIVER (2)"], ["liver", "Liver (2)", "LIVER (2) (2)"]),
        (["con", "COM1.txt", "lpt¹", "console"], ["_con", "_COM1.txt", "_lpt¹", "console"]),
        (
            ["con .x", "CONIN$", "conout$.a", "nul.a.b"],
            ["_con .x", "_CONIN$", "_conout$.a", "_nul.a.b"],
        ),
        (["é", "e\u0301", "E\u0301"], ["é", "é (2)", "É (3)"]),
        (["\u202egnp.exe", "a\u200bb", "x\x85y\u2028z"], ["gnp.exe", "ab", "x_y_z"]),
        (["\u200b", "\ufeff.", "\u3000"], ["segment", "segment (2)", "segment (3)"]),
        (['a<b>:"c', "../x", "a\tb"], ["a_b___c", "_x", "a_b"]),
        (["", " . ", "end. ", "肝臓"], ["segment", "segment (2)", "end", "肝臓"]),
    ],
)
def test_names_that_all_computers_accept(names, expected):
    assert list(safe_file_names(names)) == expected


@given(st.lists(st.text(), max_size=8))
def test_any_name_becomes_a_file_name(names):
    safe = safe_file_names(names)
    folded = {unicodedata.normalize("NFC", name.casefold()) for name in safe}
    assert len(folded) == len(names)
    for name in safe:
        assert 0 < len(f"{name}.stl".encode()) < 250
        assert not re.search(r'[<>:"/\\|?*]|[ .]$', name)
        assert {"Cc", "Cf"}.isdisjoint(unicodedata.category(letter) for letter in name)


def test_all_stl_files_or_none(tmp_path, monkeypatch):
    (tmp_path / "T (3).stl").write_text("mine")
    meshes = [triangle()] * 4
    with pytest.raises(InputError) as error:
        write_stl(meshes, tmp_path)
    assert error.value.code == "output.exists"
    written, stl = [], mesh_files._stl

    def disk_full(mesh):
        written.append(mesh)
        if len(written) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return stl(mesh)

    monkeypatch.setattr(mesh_files, "_stl", disk_full)
    with pytest.raises(SetupError) as full:
        write_stl(meshes, tmp_path, overwrite=True)
    assert full.value.code == "disk.full"
    assert [path.name for path in tmp_path.iterdir()] == ["T (3).stl"]
    assert (tmp_path / "T (3).stl").read_text() == "mine"


def contents(folder: Path) -> dict[str, bytes | None]:
    return {path.name: path.read_bytes() if path.is_file() else None for path in folder.iterdir()}


def test_a_folder_in_the_way_of_one_file(tmp_path):
    (tmp_path / "a.stl").mkdir()
    (tmp_path / "b.stl").write_bytes(b"mine")
    with pytest.raises(InputError) as error:
        write_stl([triangle("a"), triangle("b"), triangle("c")], tmp_path, overwrite=True)
    assert error.value.code == "output.is_folder"
    assert contents(tmp_path) == {"a.stl": None, "b.stl": b"mine"}


@pytest.mark.parametrize("function", ["rename", "replace"])
@pytest.mark.parametrize("locked", ["a.stl", "b.stl", "c.stl"])
def test_a_file_that_another_program_holds(tmp_path, monkeypatch, function, locked):
    """On Windows it can neither be renamed nor be replaced."""
    for name in "abc":
        (tmp_path / f"{name}.stl").write_bytes(name.encode())
    rename, failed = getattr(os, function), []

    def refuse(source, target):
        if locked in (Path(source).name, Path(target).name) and not failed:
            failed.append(source)
            raise PermissionError(errno.EACCES, "Permission denied")
        rename(source, target)

    monkeypatch.setattr(os, function, refuse)
    before = contents(tmp_path)
    with pytest.raises(InputError) as error:
        write_stl([triangle(name) for name in "nabcd"], tmp_path, overwrite=True)
    assert error.value.code == "output.not_writable"
    assert locked in error.value.message
    assert failed
    assert contents(tmp_path) == before


def test_files_are_replaced_together(tmp_path):
    (tmp_path / "a.stl").write_bytes(b"old")
    paths = write_stl([triangle("a"), triangle("b")], tmp_path, overwrite=True)
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert b"SPACE=LPS" in paths[0].read_bytes()


def tetrahedron(clockwise: bool, move: np.ndarray) -> Mesh:
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32) + 500
    triangles = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    normals = points - points.mean(axis=0)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    if clockwise:
        triangles, normals = triangles[:, ::-1], -normals
    return Mesh("t", "T", (1, 2, 3), points, triangles, normals, move)


@pytest.mark.parametrize("clockwise", [False, True])
@pytest.mark.parametrize("axis", [[1, 1, 1], [1, -1, 1], [-2, -1, 3], [-1, -1, -1]])
def test_a_moved_mesh_is_seen_from_outside(clockwise, axis):
    mesh = tetrahedron(clockwise, np.diag([*axis, 1.0])).moved(np.diag([-1.0, -1.0, 1.0, 1.0]))
    middle = mesh.points.mean(axis=0)
    a, b, c = np.moveaxis(mesh.points[mesh.triangles] - middle, 1, 0)
    assert (np.einsum("ij,ij->i", a, np.cross(b, c)) > 0).all()
    assert (np.einsum("ij,ij->i", mesh.normals, mesh.points - middle) > 0).all()


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: write_stl([triangle()], folder),
        lambda folder: write_obj([triangle()], folder / "all.obj"),
        lambda folder: write_glb([triangle()], folder / "all.glb"),
    ],
)
def test_a_folder_that_cannot_be_written_to(tmp_path, write):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError) as error:
        write(tmp_path / "file")
    assert error.value.code == "output.not_writable"
