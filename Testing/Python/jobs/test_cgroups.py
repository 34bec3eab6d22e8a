"""What Linux tells of a group's memory, in either kind of group."""

from __future__ import annotations

import pytest

from TotalSegmentatorLib.jobs.cgroups import kills_by_system, memory_limit


@pytest.mark.parametrize(
    ("groups", "file"),
    [
        ("0::/user.slice/a.scope", "user.slice/a.scope/memory.events"),
        ("0::/user.slice/a.scope", "memory.events"),  # a container's own root
        ("3:cpu,cpuacct:/a\n4:memory:/a/b", "memory/a/b/memory.oom_control"),
        ("4:memory:/docker/1", "memory/memory.oom_control"),
    ],
)
def test_kills_are_counted_in_either_kind_of_group(tmp_path, groups, file):
    own, count = tmp_path / "cgroup", tmp_path / "fs" / file
    own.write_text(groups + "\n")
    assert kills_by_system(tmp_path / "fs", own) == 0
    count.parent.mkdir(parents=True)
    count.write_text("low 0\noom 4\noom_kill_disable 0\noom_kill 3\noom_group_kill 0\n")
    assert kills_by_system(tmp_path / "fs", own) == 3
    count.write_text("")
    assert kills_by_system(tmp_path / "fs", own) == 0


def test_where_there_are_no_groups_nothing_is_known(tmp_path):
    assert kills_by_system(tmp_path, tmp_path / "none") == 0
    assert memory_limit(tmp_path, tmp_path / "none") is None


def test_limit_is_the_least_of_all_groups_around(tmp_path):
    own, top = tmp_path / "cgroup", tmp_path / "fs"
    own.write_text("0::/job/step\n")
    (top / "job" / "step").mkdir(parents=True)
    (top / "job" / "step" / "memory.max").write_text("max\n")
    assert memory_limit(top, own) is None
    (top / "job" / "memory.max").write_text("8000\n")
    (top / "job" / "memory.current").write_text("6000\n")
    assert memory_limit(top, own) == (8000, 2000)
    (top / "job" / "memory.stat").write_text("anon 4000\ninactive_file 1500\n")
    assert memory_limit(top, own) == (8000, 3500)
    (top / "memory.max").write_text("5000\n")
    assert memory_limit(top, own) == (5000, 3500)


def test_limit_of_the_first_version(tmp_path):
    own, group = tmp_path / "cgroup", tmp_path / "fs" / "memory" / "slurm"
    own.write_text("5:cpu:/a\n4:memory:/slurm\n")
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert memory_limit(tmp_path / "fs", own) is None
    (group / "memory.limit_in_bytes").write_text("8000\n")
    (group / "memory.usage_in_bytes").write_text("6000\n")
    (group / "memory.stat").write_text("inactive_file 1\ntotal_inactive_file 1000\n")
    assert memory_limit(tmp_path / "fs", own)[0] == 8000
