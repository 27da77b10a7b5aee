"""The program itself: version, help, what it imports, and how its commands reach the rest."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from config.load import ConfigProblems, Problem
from relay import __version__
from relay.cli import output


def test_version(sluice):
    assert sluice("--version").out == f"sluice {__version__}\n"


@pytest.mark.parametrize("words", [[], ["tenant"], ["scans"], ["quarantine"]])
def test_help_is_shown_for_a_group(sluice, words):
    ran = sluice(*words)
    assert "Usage: sluice" in ran.out + ran.err


def test_help_imports_nothing_heavy():
    code = "import sys; from relay.cli.app import app; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {
        "prometheus_client",
        "sqlalchemy",
        "aiohttp",
        "aiosmtpd",
        "aiosmtplib",
        "pydantic",
        "relay.observe.metrics",
    }
    assert heavy & set(ran.stdout.split()) == set()


def test_python_m_is_the_program():
    ran = subprocess.run([sys.executable, "-m", "relay.cli", "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout == f"sluice {__version__}\n"


def test_serve_hands_over_the_file_and_the_status(sluice, config, monkeypatch):
    served = []

    def serve(file):
        served.append(file)
        return 3

    monkeypatch.setitem(sys.modules, "relay.serve", SimpleNamespace(serve=serve))
    assert sluice("serve", "--config", config).status == 3
    assert served == [config]


def test_serve_with_mistakes_tells_them(sluice, config, monkeypatch):
    def serve(file):
        raise ConfigProblems([Problem(file, 2, "node.name", "is bad")])

    monkeypatch.setitem(sys.modules, "relay.serve", SimpleNamespace(serve=serve))
    ran = sluice("serve", "--config", config)
    assert (ran.status, ran.out, ran.err) == (1, "", f"{config}:2: node.name: is bad\n")


def test_an_address_in_use_is_told_shortly(sluice, config, monkeypatch):
    def serve(file):
        raise OSError(98, "cannot listen on 127.0.0.1:25: Address already in use")

    monkeypatch.setitem(sys.modules, "relay.serve", SimpleNamespace(serve=serve))
    ran = sluice("serve", "--config", config)
    assert (ran.status, ran.err) == (1, "sluice: [Errno 98] cannot listen on 127.0.0.1:25: Address already in use\n")


@pytest.mark.parametrize(("words", "keep"), [([], False), (["--keep"], True)])
def test_demo(sluice, monkeypatch, words, keep):
    monkeypatch.setitem(sys.modules, "relay.cli.demo", SimpleNamespace(run=lambda asked: 0 if asked is keep else 1))
    assert sluice("demo", *words).status == 0


def test_mistakes_in_the_program_are_not_hidden():
    assert output.complaint(KeyError("x")) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""), ("", ""), (5, "5"), (True, "true"), (["a", "b\x1b"], "a, b\N{REPLACEMENT CHARACTER}"),
        ([{"a": "\x1b"}], '[{"a": "\\u001b"}]'), ("a\u2028b\udc80c\u200dd", "a\ufffdb\ufffdc\ufffdd"),
        ("Grüße 漢", "Grüße 漢"),
    ],
)  # fmt: skip
def test_cells(value, expected):
    assert output.cell(value) == expected


def test_a_narrow_terminal_cuts_but_never_identifiers(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setenv("TERM", "xterm")
    output.print_table(["id", "subject", "x"], [["i" * 30, "words " * 9, "y" * 30]], keep={"id"})
    _, row = capsys.readouterr().out.splitlines()
    assert row.startswith("i" * 30)
    assert len(row) <= 50
    assert "…" in row
