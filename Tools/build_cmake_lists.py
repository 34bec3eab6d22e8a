"""Write the lists of scripts and resources into TotalSegmentator/CMakeLists.txt.

Slicer packages only what is listed. With --check, say whether the lists are those of the tree.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

MODULE = Path(__file__).resolve().parents[1] / "TotalSegmentator"
# What Python, pip and compiled runs of the demo leave in the tree.
MADE = re.compile(r"__pycache__|\.egg-info|openvino-.*\.(json|part)$")
TEMPLATE = """\
#-----------------------------------------------------------------------------
set(MODULE_NAME TotalSegmentator)

#-----------------------------------------------------------------------------
# The two lists are written by Tools/build_cmake_lists.py.
set(MODULE_PYTHON_SCRIPTS
{scripts}
  )

set(MODULE_PYTHON_RESOURCES
{resources}
  )

#-----------------------------------------------------------------------------
slicerMacroBuildScriptedModule(
  NAME ${{MODULE_NAME}}
  SCRIPTS ${{MODULE_PYTHON_SCRIPTS}}
  RESOURCES ${{MODULE_PYTHON_RESOURCES}}
  WITH_GENERIC_TESTS
  )

#-----------------------------------------------------------------------------
if(BUILD_TESTING)
  # The self-tests at the end of the module file.
  slicer_add_python_unittest(SCRIPT ${{MODULE_NAME}}.py)
endif()
"""


def content() -> str:
    """What the file should hold."""
    files = sorted(
        path.relative_to(MODULE)
        for path in MODULE.rglob("*")
        if path.is_file() and path.name != "CMakeLists.txt" and not MADE.search(str(path))
    )
    lines = {True: [], False: []}
    for path in files:
        lines[path.suffix == ".py"].append(f"  {path.as_posix()}")
    return TEMPLATE.format(scripts="\n".join(lines[True]), resources="\n".join(lines[False]))


def main() -> int:
    """Write or check; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    target = MODULE / "CMakeLists.txt"
    if parser.parse_args().check:
        same = target.read_text("utf-8") == content()
        print("up to date" if same else f"run {Path(__file__).name}")
        return 0 if same else 1
    target.write_text(content(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
