"""A stand-in for the 3D Slicer application, on slicer-core and PySide6.

It lets a scripted module and its .ui file run in a plain Python process, without a display:
`qt` and `ctk` follow the conventions of PythonQt as they were measured in the application,
`slicer.app`, `slicer.modules` and the base classes of scripted modules are here, and the MRML
scene, the logics and ``slicer.util`` are Slicer's own, from the slicer-core package.

Ask :func:`slicerhost.libraries.missing_libraries` first, then start a
:class:`slicerhost.host.Host`. Names in camelCase stand in for names of Slicer, Qt or CTK.
"""

from __future__ import annotations

import ctypes
import os
import sys

# In PythonQt enumerators are whole numbers: `if item.checkState(0):` is False for Unchecked.
# PySide6 makes them so if this is set before it is imported (2 stands for enum.IntEnum).
os.environ.setdefault("PYSIDE6_OPTION_PYTHON_ENUM", "2")

if sys.version_info < (3, 12):
    # Before 3.12 None is counted like every object, and PySide6 6.12 takes one reference away with
    # each call that returns None. A tree of some hundred rows is enough for "deallocating None".
    ctypes.c_ssize_t.from_address(id(None)).value += 1 << 40
