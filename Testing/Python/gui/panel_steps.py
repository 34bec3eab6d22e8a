"""What tests of the panel do again and again."""

from __future__ import annotations

import slicer
from support.processes import engine_processes

RUN_TIMEOUT_S = 240


def segment_ids(node) -> list[str]:
    segmentation = node.GetSegmentation()
    return [segmentation.GetNthSegmentID(i) for i in range(segmentation.GetNumberOfSegments())]


def node_ids() -> set[str]:
    scene = slicer.mrmlScene
    return {scene.GetNthNode(i).GetID() for i in range(scene.GetNumberOfNodes())}


def segmentations() -> list:
    return list(slicer.util.getNodesByClass("vtkMRMLSegmentationNode"))


def start(panel, host, runs) -> None:
    """Click Apply and wait until the engine's process is there."""
    panel.ui.applyButton.click()
    assert panel.busy, panel.ui.errorLabel.text
    assert host.wait(lambda: engine_processes(runs), 60), panel.ui.statusLabel.text


def cancel(panel, host) -> None:
    """Click Cancel, but not as the second half of a double click."""
    host.wait(lambda: False, 0.6)
    panel.ui.applyButton.click()


def finished(panel, host) -> bool:
    return host.wait(lambda: not panel.busy, RUN_TIMEOUT_S)


def apply(panel, host) -> None:
    """Click Apply and wait until everything has ended."""
    panel.ui.applyButton.click()
    assert finished(panel, host)


def agree_to_install(monkeypatch, begin) -> list:
    """Say yes to an installation, which begins so; returns the dialogs that have asked."""
    from TotalSegmentatorWidgets.ConsentDialog import Consent, ConsentDialog

    def ask(dialog) -> Consent:
        dialogs.append(dialog)
        return Consent(begin, "Installing", "Installed.")

    dialogs: list[ConsentDialog] = []
    monkeypatch.setattr(ConsentDialog, "ask", ask)
    return dialogs


def error_text(panel) -> str:
    return panel.ui.errorLabel.text if panel.ui.errorFrame.isVisibleTo(panel.parent) else ""


def remedy_button(panel, name: str):
    return slicer.util.findChild(panel.ui.remediesWidget, f"{name}Button")
