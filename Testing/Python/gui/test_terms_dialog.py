"""Terms of models that are to be accepted once: at Apply, after an error, in scripts."""

from __future__ import annotations

import pytest
import slicer
from panel_steps import apply, error_text, finished, remedy_button

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.environment.terms import is_accepted
from TotalSegmentatorLib.errors import InputError, SetupError

TASK = "nv_ct_body"
TERMS = catalog.terms(catalog.task(TASK).terms)


class Person:
    """Reads the terms, and clicks one of the two buttons."""

    def __init__(self, accepts: bool) -> None:
        self.accepts = accepts
        self.text = ""

    def __call__(self, dialog) -> int:
        label = slicer.util.findChild(dialog, "termsLabel")
        button = slicer.util.findChild(dialog, "acceptTermsButton")
        assert label.openExternalLinks and not button.default
        self.text = label.text
        return int(self.accepts)


@pytest.fixture
def ready(quickPanel, volume, monkeypatch):
    """The panel with an engine and all models, and a task with terms chosen."""
    monkeypatch.setattr("TotalSegmentatorLib.environment.check_weights", lambda *_: None)
    quickPanel.setParameter("task", TASK)
    return quickPanel


def test_terms_are_accepted_once(ready, host, quick):
    person = Person(accepts=True)
    host.answer(person)
    apply(ready, host)
    assert error_text(ready) == "" and is_accepted(TERMS.id)
    assert TERMS.sentence in person.text and f'href="{TERMS.url}"' in person.text
    apply(ready, host)
    assert len(host.dialogs) == 1
    assert [request["task"] for request in quick.requests] == [TASK, TASK]


def test_nothing_begins_without_them_and_they_can_still_be_accepted(ready, host, quick):
    host.answer(Person(accepts=False))
    ready.ui.applyButton.click()
    assert not ready.busy and not is_accepted(TERMS.id)
    assert "non-commercial use" in error_text(ready)
    host.answer(Person(accepts=False))
    remedy_button(ready, "accept_terms").click()
    assert not ready.busy and quick.requests == []
    host.pump()  # the button is deleted
    host.answer(Person(accepts=False), Person(accepts=True))
    ready.ui.applyButton.click()
    remedy_button(ready, "accept_terms").click()
    assert finished(ready, host)
    assert error_text(ready) == "" and len(quick.requests) == 1


def test_terms_that_cannot_be_noted_are_not_accepted(ready, host, quick, monkeypatch):
    def fail(id: str) -> None:
        raise SetupError("disk.full", "The disk is full.")

    monkeypatch.setattr("TotalSegmentatorLib.environment.terms.accept", fail)
    host.answer(Person(accepts=True))
    ready.ui.applyButton.click()
    assert "The disk is full." in error_text(ready) and quick.requests == []


def test_terms_that_need_no_consent_are_not_asked_about(ready, host, quick):
    ready.setParameter("task", "wholebody_ct")
    apply(ready, host)
    assert error_text(ready) == "" and host.dialogs == [] and len(quick.requests) == 1


def test_structures_ask_for_the_terms_of_their_tasks(ready, volume, host):
    ready.ui.findTabWidget.currentIndex = 1
    ready.setParameter("structures", ["lung_tumor"])
    host.answer(Person(accepts=False))
    ready.ui.applyButton.click()
    assert remedy_button(ready, "accept_terms").isVisibleTo(ready.parent)
    assert not ready.busy
    assert ready.logic.termsToAccept(volume, structures=["liver"]) == ()


def test_scripts_accept_them_by_name(ready, volume):
    logic = ready.logic
    assert logic.termsToAccept(volume, task=TASK) == (TERMS,)
    with pytest.raises(SetupError) as caught:
        logic.segment(volume, task=TASK)
    assert caught.value.code == "licence.not_accepted"
    with pytest.raises(InputError):
        logic.acceptTerms("no such terms")
    logic.acceptTerms(TERMS.id)
    assert logic.termsToAccept(volume, task=TASK) == ()
    logic.check(volume, task=TASK)
