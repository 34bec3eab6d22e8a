"""What a user has set for good: kept whole, read leniently, never a surprise."""

from __future__ import annotations

import errno
import os
import sys

import pytest

from TotalSegmentatorLib.environment import (
    UserSettings,
    json_files,
    load_settings,
    save_settings,
    user_data_folder,
)
from TotalSegmentatorLib.errors import InputError, SetupError


@pytest.fixture(autouse=True)
def file(tmp_path, monkeypatch):
    """Where the settings lie during a test."""
    for name in ("HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "Jürgen"))
    return user_data_folder() / "settings.json"


def test_nothing_is_sent_and_nothing_is_set_by_default():
    settings = load_settings()
    assert settings == UserSettings()
    assert settings.usage_statistics is False
    assert (settings.weights_mirror, settings.package_index, settings.torch_index) == ("", "", "")


def test_settings_are_kept(file):
    settings = UserSettings(True, "https://one.org", "https://two.org", "", "/Gewichte/ä")
    save_settings(settings)
    assert load_settings() == settings
    assert [path.name for path in file.parent.iterdir()] == ["settings.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_only_the_user_can_read_them(file):
    save_settings(UserSettings(package_index="https://user:password@index.org"))
    file.chmod(0o644)
    save_settings(UserSettings(package_index="https://user:password@index.org"))
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b"null", b'"text"', b"\xff\xfe", b"[" * 100_000, b'{"unknown": 1}'],
)
def test_a_file_that_cannot_be_understood_is_as_none(file, content):
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    assert load_settings() == UserSettings()


def test_what_is_right_in_a_file_is_used(file):
    file.parent.mkdir(parents=True)
    file.write_text('{"usage_statistics": "yes", "torch_index": "https://a.org", "more": 3}')
    assert load_settings() == UserSettings(torch_index="https://a.org")
    file.write_text('{"usage_statistics": 1}')  # agreed to is only what says so
    assert load_settings().usage_statistics is False


def test_without_a_home_folder_there_are_defaults(monkeypatch):
    def fail():
        raise RuntimeError("no home")

    monkeypatch.setattr("TotalSegmentatorLib.environment.paths.Path.home", fail)
    assert load_settings() == UserSettings()


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, "disk.full"), (errno.EACCES, "disk.not_writable")]
)
def test_a_failed_write_changes_nothing(file, monkeypatch, number, code):
    save_settings(UserSettings(usage_statistics=True))

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(json_files.os, "replace", fail)
    with pytest.raises(SetupError) as caught:
        save_settings(UserSettings())
    assert caught.value.code == code
    assert caught.value.remedy
    monkeypatch.undo()
    assert [path.name for path in file.parent.iterdir()] == ["settings.json"]
    assert '"usage_statistics": true' in file.read_text()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("usage_statistics", "on", True),
        ("usage_statistics", "No", False),
        ("usage_statistics", "", False),
        ("weights_mirror", " https://mirror.org/a/ ", "https://mirror.org/a"),
        ("package_index", "http://user:word@index.org:81/simple", None),
        ("package_index", "https://user:p%40s%2Fs@index.org/a%40b/simple", None),
        ("torch_index", "", ""),
        ("weights_folder", "", ""),
    ],
)
def test_typed_values(name, text, value):
    settings = UserSettings(True, "https://a.org", "https://b.org", "https://c.org", "/d")
    changed = settings.changed(name, text)
    assert getattr(changed, name) == (text if value is None else value)
    assert settings.usage_statistics is True  # the former ones are as they were
    others = [other for other in vars(settings) if other != name]
    assert all(getattr(changed, other) == getattr(settings, other) for other in others)


def test_a_folder_is_kept_with_its_whole_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert UserSettings().changed("weights_folder", "w").weights_folder == str(tmp_path / "w")


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("usage_statistics", "perhaps", "input.bad_setting"),
        ("weights_mirror", "mirror.org", "input.bad_setting"),
        ("weights_mirror", "ftp://secret@mirror.org", "input.bad_setting"),
        ("package_index", "https://", "input.bad_setting"),
        ("package_index", "https://[secret", "input.bad_setting"),
        ("package_index", "https://user:p@secret@host.org/simple", "input.bad_setting"),
        ("package_index", "https://user:pa/secret@host.org/simple", "input.bad_setting"),
        ("package_index", "https://user:12/secret@host.org/simple", "input.bad_setting"),
        ("package_index", "https://secret?a@host.org/simple", "input.bad_setting"),
        ("package_index", "https://user:se cret@host.org/simple", "input.bad_setting"),
        ("package_index", "https://host.org/a secret", "input.bad_setting"),
        ("send_images", "on", "input.unknown_setting"),
    ],
)
def test_bad_values_are_refused_and_not_repeated(name, text, code):
    with pytest.raises(InputError) as caught:
        UserSettings().changed(name, text)
    assert caught.value.code == code
    assert "secret" not in repr(caught.value.to_dict())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows takes any name for a user's")
def test_a_folder_of_nobody_is_refused():
    with pytest.raises(InputError) as caught:
        UserSettings().changed("weights_folder", "~nobody_such/w")
    assert caught.value.code == "input.bad_setting"
