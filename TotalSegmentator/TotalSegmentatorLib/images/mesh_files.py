"""Surfaces as files for 3D printing, modelling programs and the web: STL, OBJ, glTF.

Nothing here touches the scene, so a thread may write while people go on working.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import struct
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from ..errors import InputError
from .whole_file import whole_file, write_error

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
# glTF: metres, Y is up, an asset's front looks to +Z, its right side is at -X.
_RAS_TO_GLTF = np.array(
    [[-0.001, 0, 0, 0], [0, 0, 0.001, 0], [0, 0.001, 0, 0], [0, 0, 0, 1]], np.float64
)
_SPACE = "SPACE=LPS"  # where Slicer looks for the coordinate system of a mesh file

_FLOAT, _UINT32 = 5126, 5125  # glTF component types
_VERTICES, _INDICES = 34962, 34963  # glTF buffer targets

_ROWS_AT_ONCE = 4_000
_MAX_NAME = 80
_RESERVED = re.compile(r"con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]", re.IGNORECASE)
_FORBIDDEN = frozenset('<>:"/\\|?*')
_CONTROLS = ("Cc", "Zl", "Zp")  # Unicode categories: line ends and the like
_INVISIBLE = "Cf"  # also turns the direction of writing: what looks like gpj.exe is exe.jpg
_AT_THE_ENDS = re.compile(r"^[\s.]+|[\s.]+$")


@dataclass(frozen=True, eq=False)
class Mesh:
    """The surface of one segment.

    :param color: red, green, blue, 0 to 255.
    :param points: (N, 3) mm, in the coordinates of its node.
    :param triangles: (M, 3) indices of points, all in the same order as seen from outside:
        counter-clockwise, or clockwise as Slicer makes them for left-handed volumes.
    :param normals: (N, 3) unit vectors, to the outside or all to the inside; None if there are
        none.
    :param to_world: (4, 4), from the node's coordinates to RAS mm.
    """

    id: str
    name: str
    color: tuple[int, int, int]
    points: np.ndarray
    triangles: np.ndarray
    normals: np.ndarray | None
    to_world: np.ndarray

    def moved(self, to_space: np.ndarray) -> Mesh:
        """The mesh in other coordinates, counter-clockwise and with normals to the outside.

        :param to_space: (4, 4), from RAS mm.
        """
        matrix = to_space @ self.to_world
        axes = matrix[:3, :3]
        points = self.points @ axes.T + matrix[:3, 3]
        inside_out = _volume(self.points, self.triangles) < 0
        clockwise = inside_out != (np.linalg.det(axes) < 0)
        triangles = self.triangles[:, ::-1] if clockwise else self.triangles
        normals = None
        if self.normals is not None:
            normals = self.normals @ np.linalg.inv(axes)
            normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
            if inside_out:
                normals = -normals
        return Mesh(self.id, self.name, self.color, points, triangles, normals, np.eye(4))


def _volume(points: np.ndarray, triangles: np.ndarray) -> float:
    """What a closed surface encloses; negative if its triangles are clockwise from outside."""
    points = points.astype(np.float64)
    points -= points.mean(axis=0)
    a, b, c = (points[triangles[:, n]] for n in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c))) / 6


def write_stl(
    meshes: Sequence[Mesh], folder: str | Path, overwrite: bool = False
) -> tuple[Path, ...]:
    """Write one binary STL file per mesh, named after it; all of them or none.

    The coordinates are mm in LPS, as in the files that Slicer writes; the header says so.

    :return: the files, in the order of the meshes.
    :raises InputError: ``output.exists`` if a file is there and *overwrite* is not set,
        ``output.is_folder``, ``output.not_writable``.
    :raises SetupError: ``disk.full``.
    """
    names = safe_file_names([mesh.name for mesh in meshes])
    paths = tuple(Path(folder) / f"{name}.stl" for name in names)
    _write_all(
        {path: lambda mesh=mesh: _stl(mesh) for path, mesh in zip(paths, meshes, strict=True)},
        overwrite,
    )
    return paths


def write_obj(
    meshes: Sequence[Mesh], path: str | Path, overwrite: bool = False
) -> tuple[Path, Path]:
    """Write all meshes into one OBJ file, as named objects, and their colors into an MTL file.

    The coordinates are mm in LPS, as in the files that Slicer writes; the first line says so.

    :param path: ends with .obj. The other file has the same name with .mtl.
    :return: both files.
    :raises InputError, SetupError: as :func:`write_stl`.
    """
    path = Path(path)
    materials = path.with_suffix(".mtl")
    names = _tokens([mesh.name for mesh in meshes])
    _write_all(
        {
            materials: lambda: _mtl(meshes, names),
            path: lambda: _obj(meshes, names, materials.name),
        },
        overwrite,
    )
    return path, materials


def write_glb(meshes: Sequence[Mesh], path: str | Path, overwrite: bool = False) -> None:
    """Write all meshes into one binary glTF 2.0 file, each as a named and colored node.

    As the format asks for, the unit is the metre and the head is up (+Y): x is the patient's left,
    z the front.

    :param path: ends with .glb.
    :raises InputError, SetupError: as :func:`write_stl`.
    """
    _write_all({Path(path): lambda: _glb(meshes)}, overwrite)


def safe_file_names(names: Sequence[str]) -> tuple[str, ...]:
    """File names, without suffix, that Windows, macOS and Linux accept and that differ.

    What is allowed in a name stays, letters of all languages too. Names that many computers take
    for the same file are numbered: ``liver (2)`` if they differ by upper and lower case only. What
    nobody sees in a name is left out, and a name of which nothing is left becomes ``segment``.
    """
    result: list[str] = []
    taken: set[str] = set()
    for name in names:
        name = _safe_file_name(name)
        choices = (name if n == 1 else f"{name} ({n})" for n in count(1))
        result.append(next(choice for choice in choices if _folded(choice) not in taken))
        taken.add(_folded(result[-1]))
    return tuple(result)


def _safe_file_name(name: str) -> str:
    letters = unicodedata.normalize("NFC", "".join(_safe_letter(letter) for letter in name))
    # 80 letters of any language are less than the 255 bytes that file systems allow.
    name = letters.encode("utf-8", "ignore")[: _MAX_NAME * 2].decode("utf-8", "ignore")[:_MAX_NAME]
    name = _AT_THE_ENDS.sub("", name) or "segment"
    # Windows looks at what is before the first dot, and not at spaces before that.
    return f"_{name}" if _RESERVED.fullmatch(name.split(".")[0].strip()) else name


def _safe_letter(letter: str) -> str:
    category = unicodedata.category(letter)
    if category == _INVISIBLE:
        return ""
    return "_" if letter in _FORBIDDEN or category in _CONTROLS else letter


def _folded(name: str) -> str:
    """The same text for names that Windows or macOS takes for the same file."""
    return unicodedata.normalize("NFC", name.casefold())


def check_absent(paths: Sequence[Path], overwrite: bool) -> None:
    """Refuse to replace files that nobody allowed to replace.

    :raises InputError: ``output.exists``.
    """
    present = [] if overwrite else [path for path in paths if path.exists()]
    if present:
        others = f" and {len(present) - 1} others" if len(present) > 1 else ""
        verb = "are" if others else "is"
        raise InputError(
            "output.exists",
            f"{present[0].name}{others} {verb} there already.",
            "Choose another name or folder, or allow to replace files.",
        )


def _write_all(contents: Mapping[Path, Callable[[], Iterable[bytes]]], overwrite: bool) -> None:
    """Write several files, all or none: if one cannot be written, the folder is as before.

    All are written under other names first. Then those that they replace are put aside, to be put
    back if a name cannot be given. Only a computer that stops between the names leaves some of
    them new, and the replaced files under the names that they were put aside with.
    """
    check_absent(list(contents), overwrite)
    _check_no_folder(contents)
    with ExitStack() as stack:
        for path, content in contents.items():
            part = stack.enter_context(whole_file(path, path.suffix))
            with part.open("wb") as stream:
                stream.writelines(content())
        with _put_aside(contents):
            stack.close()


def _check_no_folder(paths: Iterable[Path]) -> None:
    folder = next((path for path in paths if path.is_dir()), None)
    if folder is not None:
        raise InputError(
            "output.is_folder",
            f"{folder.name} is a folder.",
            "Choose another name, or move the folder away.",
        )


@contextmanager
def _put_aside(paths: Iterable[Path]) -> Iterator[None]:
    """Give files other names; if the block fails, they come back instead of what took their place.

    :raises InputError: ``output.not_writable`` if a file may not be renamed.
    """
    aside: dict[Path, Path] = {}
    fresh: list[Path] = []
    try:
        for path in paths:
            other = path.with_name(f".{secrets.token_hex(4)}.old{path.suffix}")
            try:
                os.rename(path, other)
            except FileNotFoundError:
                fresh.append(path)
            except OSError as error:  # on Windows: another program has it open
                raise write_error(path, error) from error
            else:
                aside[path] = other
        yield
    except BaseException:
        for path in fresh:
            with suppress(OSError):
                path.unlink()
        for path, other in aside.items():
            with suppress(OSError):
                os.replace(other, path)
        raise
    for other in aside.values():
        with suppress(OSError):
            other.unlink()


def _stl(mesh: Mesh) -> Iterable[bytes]:
    mesh = mesh.moved(_RAS_TO_LPS)
    corners = mesh.points[mesh.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    facets = np.zeros(len(corners), [("values", "<f4", (4, 3)), ("unused", "<u2")])
    facets["values"][:, 0] = normals
    facets["values"][:, 1:] = corners
    name = mesh.id.encode("ascii", "replace").decode()
    header = f"TotalSegmentator; {_SPACE}; mm; {name}".encode()[:80].ljust(80)
    return [header, struct.pack("<I", len(facets)), facets.tobytes()]


def _obj(meshes: Sequence[Mesh], names: Sequence[str], materials: str) -> Iterator[bytes]:
    yield f"# TotalSegmentator; {_SPACE}; mm\nmtllib {materials}\n".encode()
    first = 1
    for mesh, name in zip(meshes, names, strict=True):
        mesh = mesh.moved(_RAS_TO_LPS)
        yield f"o {name}\ng {name}\nusemtl {name}\n".encode()
        yield from _rows("v %.4f %.4f %.4f\n", mesh.points)
        yield from _rows("f %d %d %d\n", mesh.triangles.astype(np.int64) + first)
        first += len(mesh.points)


def _rows(form: str, array: np.ndarray) -> Iterator[bytes]:
    """Text, a part of the rows at a time: other threads wait while a part is made."""
    for start in range(0, len(array), _ROWS_AT_ONCE):
        rows = array[start : start + _ROWS_AT_ONCE]
        yield (form * len(rows) % tuple(rows.ravel().tolist())).encode()


def _mtl(meshes: Sequence[Mesh], names: Sequence[str]) -> Iterable[bytes]:
    lines = []
    for mesh, name in zip(meshes, names, strict=True):
        color = " ".join(f"{value / 255:.6f}" for value in mesh.color)
        lines += [f"newmtl {name}", f"Kd {color}", "Ka 0 0 0", "Ks 0 0 0", "d 1", ""]
    return ["\n".join(lines).encode()]


def _tokens(names: Sequence[str]) -> tuple[str, ...]:
    """Names without spaces, which end a name in OBJ files."""
    return tuple(re.sub(r"\s", "_", name) for name in safe_file_names(names))


class _Buffer:
    """The arrays of a glTF file, one after the other, and what describes them."""

    def __init__(self) -> None:
        self.blocks: list[bytes] = []
        self.views: list[dict[str, int]] = []
        self.accessors: list[dict[str, object]] = []
        self.size = 0

    def add(self, array: np.ndarray, **more: object) -> int:
        """The number of the accessor of an array: (N, 3) float32 or (N,) uint32."""
        vertices = array.dtype.kind == "f"
        block = array.tobytes()  # whole numbers of 4 bytes, as the format asks for
        view = {"buffer": 0, "byteOffset": self.size, "byteLength": len(block)}
        self.views.append({**view, "target": _VERTICES if vertices else _INDICES})
        self.blocks.append(block)
        self.size += len(block)
        self.accessors.append(
            {
                "bufferView": len(self.views) - 1,
                "componentType": _FLOAT if vertices else _UINT32,
                "count": len(array),
                "type": "VEC3" if vertices else "SCALAR",
                **more,
            }
        )
        return len(self.accessors) - 1


def _glb(meshes: Sequence[Mesh]) -> Iterable[bytes]:
    """A header, then the description as JSON, then all arrays."""
    buffer = _Buffer()
    primitives = [_primitive(mesh.moved(_RAS_TO_GLTF), n, buffer) for n, mesh in enumerate(meshes)]
    description = {
        "asset": {"version": "2.0", "generator": "TotalSegmentator"},
        "scene": 0,
        "scenes": [{"nodes": list(range(len(meshes)))}],
        "nodes": [
            {"name": m.name, "mesh": n, "extras": {"id": m.id}} for n, m in enumerate(meshes)
        ],
        "meshes": [
            {"name": m.name, "primitives": [p]} for m, p in zip(meshes, primitives, strict=True)
        ],
        "materials": [_material(mesh) for mesh in meshes],
        "accessors": buffer.accessors,
        "bufferViews": buffer.views,
        "buffers": [{"byteLength": buffer.size}],
    }
    text = json.dumps(description, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    return [
        struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + buffer.size),
        struct.pack("<I4s", len(text), b"JSON"),
        text,
        struct.pack("<I4s", buffer.size, b"BIN\0"),
        *buffer.blocks,
    ]


def _primitive(mesh: Mesh, number: int, buffer: _Buffer) -> dict[str, object]:
    points = mesh.points.astype("<f4")
    low, high = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    attributes = {"POSITION": buffer.add(points, min=low, max=high)}
    if mesh.normals is not None:
        attributes["NORMAL"] = buffer.add(mesh.normals.astype("<f4"))
    indices = buffer.add(mesh.triangles.astype("<u4").ravel())
    return {"attributes": attributes, "indices": indices, "material": number}


def _material(mesh: Mesh) -> dict[str, object]:
    color = np.array(mesh.color) / 255.0
    # Segments have colors as screens take them; glTF has them in proportion to light.
    linear = np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)
    return {
        "name": mesh.name,
        "pbrMetallicRoughness": {
            "baseColorFactor": [*linear.round(6).tolist(), 1.0],
            "metallicFactor": 0.0,
            "roughnessFactor": 0.6,
        },
    }
