"""An application that uses our engine, watched; see ours.py."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from parts.process_tree import Watched
from parts.works import ROOT
from TotalSegmentatorLib.jobs import Request

LOG = ROOT / ".cache" / "benchmarks.log"


class Application(Watched):
    """Starts without an engine process, which comes with the first run and stays.

    :param weights: folder.
    :param worker: a script that its engine process runs instead of the worker.
    """

    def __init__(self, weights: Path, *worker: Path) -> None:
        command = [sys.executable, Path(__file__).with_name("ours.py"), *worker]
        super().__init__(command, os.environ, LOG)
        self._weights = weights

    def segment(self, image: Path, labels: Path, request: Request) -> dict[str, Any]:
        """Segment a file into another.

        :return: ``timings_s``, ``warnings`` and ``provenance`` of the report.
        :raises RuntimeError: if it fails.
        """
        order = {"image": str(image), "labels": str(labels), "weights": str(self._weights)}
        return self.ask({**order, "request": request.to_dict()})
