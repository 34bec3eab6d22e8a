"""Pictures of the panel in six states, in both themes where colours matter; people look at them.

They are written to Testing/Output. That they show what they must is tested by the texts.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import qt_tree
from panel_steps import apply, error_text, finished

from TotalSegmentatorLib import catalog

OUTPUT = Path(__file__).resolve().parents[2] / "Output"
WIDTH = 520
MOST_BYTES = 150_000


@pytest.fixture
def picture(panel, host, module):
    """Takes pictures, and checks that they are small and not empty."""

    def take(name: str) -> None:
        OUTPUT.mkdir(exist_ok=True)
        path = host.screenshot(module.panel, OUTPUT / f"panel-{name}.png", WIDTH)
        assert 5_000 < path.stat().st_size < MOST_BYTES

    return take


def test_fresh(panel, volume, host, picture):
    panel.setParameter("task", "total")
    assert host.wait(lambda: panel.ui.normalEstimateLabel.text, 5)
    picture("fresh")


def test_running(quickPanel, volume, host, quick, picture):
    quick.hold()
    quickPanel.ui.applyButton.click()
    quickPanel.ui.queueButton.click()
    assert host.wait(lambda: "left" in quickPanel.ui.progressBar.format, 30)
    picture("running")
    quickPanel.ui.cancelAllButton.click()
    assert finished(quickPanel, host)


@pytest.mark.slow
def test_finished(panel, volume, host, picture):
    apply(panel, host)
    assert panel.ui.statusLabel.text.startswith("Done")
    picture("finished")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_failed(quickPanel, volume, host, quick, picture, theme):
    host.setTheme(theme)
    quick.fail(
        "gpu.out_of_memory",
        "The GPU's memory ran out.",
        "Use a faster speed, fewer structures, or the CPU.",
    )
    apply(quickPanel, host)
    assert "memory ran out" in error_text(quickPanel)
    picture("failed" if theme == "light" else "failed-dark")


def test_advanced_open(panel, volume, host, picture):
    panel.setParameter("task", "total")
    panel.ui.findTabWidget.currentIndex = 1
    panel.ui.lungsPresetButton.click()
    panel.ui.advancedCollapsibleButton.collapsed = False
    panel.ui.setupCollapsibleButton.collapsed = False
    assert host.wait(lambda: panel.ui.environmentLabel.text, 5)
    picture("advanced")


def test_task_list_with_all_engines(panel, volume, host, picture):
    panel.setParameter("task", "wholebody_ct")
    tree = panel.ui.taskTree
    for family in dict.fromkeys(task.family for task in catalog.tasks() if task.family):
        qt_tree.group(tree, family).setExpanded(True)
    rows = sum(1 for item in qt_tree.items(tree) if not tree.visualItemRect(item).isEmpty())
    tree.setMinimumHeight((rows + 3) * tree.visualItemRect(tree.topLevelItem(1)).height())
    shown = qt_tree.item(tree, catalog.task("wholebody_ct").title)
    assert host.wait(lambda: shown.text(2), 5)
    assert shown.text(1).startswith("CT, Apache-2.0, 1.5 mm")
    picture("engines")
