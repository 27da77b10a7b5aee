"""What is remembered survives: restarts, other processes, damage; and nothing impossible is ever read."""

import fcntl
import ipaddress
import json
import os
import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.intake.microsoft import Published
from relay.onboarding.ranges import notebook
from relay.onboarding.ranges.guards import impossible
from relay.onboarding.ranges.notebook import HOUR, NAME, Cloud, Held, Memory, Notebook

LIST = Published("2026110100", tuple(map(ipaddress.ip_network, ("20.200.0.0/16", "2a01:111:f400::/48"))))
CLOUD = Cloud(asked=100.0, next=3700.0, checked=101.5, problem="x", fetched=LIST, held=Held(LIST, 5.0))


def test_what_is_written_is_read_by_all(tmp_path):
    written = Notebook(tmp_path).change("worldwide", lambda _: CLOUD)
    read = Notebook(tmp_path).read()
    assert read == written
    assert (read.cloud("worldwide"), read.cloud("china"), read.problem) == (CLOUD, Cloud(), "")
    assert read.fetched() == {"worldwide": LIST}
    assert os.listdir(tmp_path) == [NAME]


def test_the_client_id_is_random_and_kept(tmp_path):
    first = Notebook(tmp_path).change("worldwide", lambda _: CLOUD).client
    assert uuid.UUID(first).version == 4
    assert Notebook(tmp_path).change("china", lambda _: CLOUD).client == first
    other = tmp_path / "other"
    other.mkdir()
    assert Notebook(other).change("worldwide", lambda _: CLOUD).client != first


def test_an_unchanged_file_is_the_same_object(tmp_path):
    notebook = Notebook(tmp_path)
    nothing = notebook.read()
    assert notebook.read() is nothing
    Notebook(tmp_path).change("worldwide", lambda _: CLOUD)
    first = notebook.read()
    assert first is not nothing
    assert notebook.read() is first
    Notebook(tmp_path).change("worldwide", lambda cloud: cloud)
    assert notebook.read() is first
    Notebook(tmp_path).change("worldwide", lambda cloud: replace(cloud, checked=7.0))
    assert notebook.read().cloud("worldwide").checked == 7.0


def damaged(**changes) -> str:
    """A file with other values in the cloud's page."""
    page = {"asked": 1.0, "next": 2.0, "fetched": {"version": "2026110100", "networks": ["20.200.0.0/16"]}} | changes
    return json.dumps({"client": str(uuid.uuid4()), "clouds": {"worldwide": page}})


def fetched(*networks, version="2026110100"):
    return damaged(fetched={"version": version, "networks": networks})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "\0" * 500,
        damaged()[:-20],
        "[" * 10_000,
        fetched(),
        fetched("0.0.0.0/0"),
        fetched("20.0.0.0/8"),
        fetched("127.0.0.0/16"),
        fetched("20.200.0.1/16"),
        fetched("20.200.0.0/16", 5),
        fetched("20.200.0.0/16", version="newest"),
        fetched("20.200.0.0/16", version=2026110100),
        damaged(held={"published": {"version": "2026110100", "networks": ["::/0"]}, "since": 1.0}),
        damaged(asked=-1),
        damaged(asked="soon"),
        damaged(next=float("nan")),
        damaged(next=float("inf")),
        damaged(problem=None),
        damaged().replace('"client": "', '"client": "x'),
    ],
)
def test_a_damaged_file_counts_for_nothing_and_says_so(tmp_path, text):
    file = tmp_path / NAME
    file.write_text(text)
    os.utime(file, (5_000.0, 5_000.0))
    notebook = Notebook(tmp_path)
    memory = notebook.read()
    assert memory.fetched() == {}
    assert memory.problem.startswith(f"{file} is damaged: ")
    assert len(memory.problem) < 1_000
    # Nobody knows when Microsoft was asked: not later than the file was written.
    assert memory.cloud("worldwide").may_be_asked(6_000.0) == 5_000.0 + HOUR
    notebook.change("worldwide", lambda cloud: cloud)
    assert file.read_text() == text
    notebook.change("worldwide", lambda cloud: replace(cloud, asked=9_000.0))
    assert Notebook(tmp_path).read().problem == notebook.read().problem == ""


def test_without_damage_the_table_above_would_be_read(tmp_path):
    (tmp_path / NAME).write_text(damaged())
    assert Notebook(tmp_path).read().fetched()["worldwide"].version == "2026110100"


def test_who_has_read_it_before_goes_on_with_that(tmp_path):
    notebook = Notebook(tmp_path)
    notebook.change("worldwide", lambda _: CLOUD)
    client = notebook.read().client
    (tmp_path / NAME).write_text("{")
    memory = notebook.read()
    assert "damaged" in memory.problem
    assert memory.cloud("worldwide") == CLOUD
    after = notebook.change("worldwide", lambda cloud: replace(cloud, checked=9.0))
    assert (after.client, after.problem, after.fetched()) == (client, "", {"worldwide": LIST})
    assert Notebook(tmp_path).read() == after


def test_a_file_that_cannot_be_read_is_not_written_over(tmp_path):
    (tmp_path / NAME).mkdir()
    notebook = Notebook(tmp_path)
    assert "cannot be read: Is a directory" in notebook.read().problem
    with pytest.raises(OSError, match="Is a directory"):
        notebook.change("worldwide", lambda _: CLOUD)


def test_a_folder_that_is_not_there(tmp_path):
    notebook = Notebook(tmp_path / "none")
    assert notebook.read().clouds == {}
    with pytest.raises(OSError):
        notebook.change("worldwide", lambda _: CLOUD)


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch, step):
    notebook = Notebook(tmp_path)
    before = notebook.change("worldwide", lambda _: CLOUD)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "rename")), full)
    with pytest.raises(OSError, match="No space"):
        notebook.change("worldwide", lambda _: Cloud())
    monkeypatch.undo()
    assert Notebook(tmp_path).read() == before
    notebook.change("worldwide", lambda _: Cloud())
    assert os.listdir(tmp_path) == [NAME]


ADD = """
import sys
from dataclasses import replace
from pathlib import Path
from relay.onboarding.ranges.notebook import Notebook
notebook = Notebook(Path(sys.argv[1]))
for _ in range(25):
    notebook.change("worldwide", lambda cloud: replace(cloud, asked=cloud.asked + 1))
"""


def test_processes_do_not_lose_each_others_changes(tmp_path):
    running = [subprocess.Popen([sys.executable, "-c", ADD, str(tmp_path)]) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert Notebook(tmp_path).read().cloud("worldwide").asked == 75


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(at=st.integers(0, 400), put=st.binary(max_size=6), cut=st.integers(0, 6))
def test_a_file_near_a_good_one_is_possible_or_damaged(tmp_path, at, put, cut):
    (tmp_path / "good").mkdir(exist_ok=True)
    Notebook(tmp_path / "good").change("worldwide", lambda _: CLOUD)
    good = (tmp_path / "good" / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(good[:at] + put + good[at + cut :])
    memory = Notebook(tmp_path).read()
    assert isinstance(memory, Memory)
    assert all(impossible(one.networks) == "" for one in memory.fetched().values())


def test_the_clock_was_set_back():
    assert CLOUD.may_be_asked(100.0) == 3700.0
    assert CLOUD.may_be_asked(99.0) == 0.0


def test_a_lock_that_is_never_given_back_is_not_waited_for(tmp_path, monkeypatch):
    """By a process that was stopped; a node that waits for it could not end."""
    monkeypatch.setattr(notebook, "PATIENCE", 0.1)
    other = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(OSError, match="keeps the state folder locked"):
        Notebook(tmp_path).change("worldwide", lambda _: CLOUD)
    os.close(other)
    assert Notebook(tmp_path).change("worldwide", lambda _: CLOUD).cloud("worldwide") == CLOUD
