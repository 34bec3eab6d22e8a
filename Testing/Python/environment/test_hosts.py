"""Every public host that the product names stands in the file that users are shown."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from TotalSegmentatorLib.environment.hosts import all_purposes, hosts

MODULE = Path(__file__).resolve().parents[3] / "TotalSegmentator"
ADDRESS = re.compile(r"https?://(?:[^/@\s]*@)?([\w.-]+\w)")
NAME = re.compile(r"[\w-]+(?:\.[\w-]+)*\.(?:com|co|org|net|io|sh|dev|ai|edu|gov)")
# Stand for a host of the user's in help texts.
EXAMPLES = re.compile(r"(?:.*\.)?example\.org")
# Name a format; nobody opens them.
FORMAT_KEYS = {"@schema", "$schema"}
KINDS = {".py", ".json", ".csv", ".txt", ".ui", ".toml", ".html"}


def texts_in_code(path: Path) -> Iterator[str]:
    """All texts in Python code but documentation."""
    tree = ast.parse(path.read_text("utf-8"))
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and id(node) not in documentation:
            yield text


def texts_in_json(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from texts_in_json(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            if key not in FORMAT_KEYS:
                yield from texts_in_json(one)


def texts(path: Path) -> Iterator[str]:
    if path.suffix == ".py":
        return texts_in_code(path)
    text = path.read_text("utf-8")
    return texts_in_json(json.loads(text)) if path.suffix == ".json" else iter([text])


def hosts_in(path: Path) -> set[str]:
    found = set()
    for text in texts(path):
        found |= set(ADDRESS.findall(text))
        found |= {text} if NAME.fullmatch(text) else set()
    return found


def test_every_host_in_code_and_data_is_told():
    told = {host for purpose in all_purposes() for host in purpose.hosts}
    files = [p for p in MODULE.rglob("*") if p.suffix in KINDS and p.name != "hosts.json"]
    assert len(files) > 100
    untold = {
        f"{path.name}: {host}"
        for path in files
        for host in hosts_in(path)
        if host not in told and not EXAMPLES.fullmatch(host)
    }
    assert untold == set()


def test_the_search_finds_hosts(tmp_path):
    code = tmp_path / "code.py"
    code.write_text(
        '"""See https://docs.org/x."""\nA = "https://a:b@one.com:443/x"\nB = "two.net"\n'
        'C = f"http://three.io/{A}"\nD = "not.a.host"\n'
    )
    assert hosts_in(code) == {"one.com", "two.net", "three.io"}
    data = tmp_path / "data.json"
    data.write_text('{"@schema": "https://no.org/", "a": [{"b": "https://four.sh/c"}]}')
    assert hosts_in(data) == {"four.sh"}


def test_every_purpose_is_told_in_a_sentence():
    for purpose in all_purposes():
        assert purpose.hosts, purpose.name
        assert purpose.sentence.endswith("."), purpose.name
        assert all(NAME.fullmatch(host) for host in purpose.hosts)
    assert len({purpose.name for purpose in all_purposes()}) == len(all_purposes())


def test_hosts_of_a_purpose():
    assert hosts("licence") == ("backend.totalsegmentator.com",)
    with pytest.raises(KeyError):
        hosts("nothing")
