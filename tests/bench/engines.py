"""The verdict engines, each as one more Sluice of the table: with that engine alone, and a real server behind it.

`sluice` itself, with testpatterns, is what to compare them with. Engines whose server is not installed are left out.
"""

import contextlib
import functools
import os
import shutil
import sys

from mails import MIB
from processes import PATH, free_port, tree
from relays import HERE, sluice
from signing import DOMAIN, SELECTOR, key

sys.path.insert(0, str(HERE.parent))  # the tests' doubles start the servers

RULE = """
rule bench_{number} {{
    strings:
        $word = "sluice bench {number}" nocase
        $bytes = {{ 4d 5a ?? ?? {number:02x} 00 }}
    condition:
        any of them
}}
"""
LARGEST = 50 * MIB
"""Bytes of the largest message that the servers take: none is let off by its size."""


@contextlib.contextmanager
def plain(_folder, options=""):
    """An engine that needs no server."""
    yield options, ""


@contextlib.contextmanager
def rspamd(folder):
    from doubles.real_rspamd import real_rspamd

    with real_rspamd(folder, largest=str(LARGEST)) as server:
        yield f'url = "{server.url}"', ""


@contextlib.contextmanager
def clamav(folder):
    from doubles.real_clamd import real_clamd

    with real_clamd(folder, LARGEST, LARGEST) as server:
        yield f'address = "{server.address}"', ""


@contextlib.contextmanager
def spamassassin(_folder):
    from doubles.real_spamd import real_spamd

    with real_spamd() as server:
        yield f'address = "{server.address}"\nmax_bytes = {LARGEST}', ""


@contextlib.contextmanager
def icap(folder):
    from doubles.real_cicap import real_cicap
    from doubles.real_clamd import real_clamd

    (folder / "clamd").mkdir()
    with (
        real_clamd(folder / "clamd", LARGEST, LARGEST) as scanner,
        real_cicap(folder, scanner, largest=str(LARGEST)) as server,
    ):
        yield f'url = "{server.url}/avscan"', ""


@contextlib.contextmanager
def milter(folder):
    from doubles.real_milters import real_opendkim

    with real_opendkim(folder, f"{SELECTOR}._domainkey.{DOMAIN} {key()[1]}") as server:
        yield f'address = "{server.address}"', ""


@contextlib.contextmanager
def webhook(folder):
    from doubles.processes import listens, server

    port = free_port()
    command = [sys.executable, str(HERE / "engine.py"), str(port), "--delay", "0"]
    with server(command, folder / "log", lambda: listens(port)):
        yield f'url = "http://127.0.0.1:{port}/findings"\nsecret = "{"s" * 16}"', ""


@contextlib.contextmanager
def command(_folder):
    yield 'command = ["/bin/sh", "-c", "cat > /dev/null"]\nanswer = "exit"', ""


@contextlib.contextmanager
def yara(folder):
    rules = folder / "rules"
    rules.mkdir()
    (rules / "bench.yar").write_text("".join(RULE.format(number=number) for number in range(100)))
    yield f'rules = ["{rules}"]', ""


@contextlib.contextmanager
def authentication(folder):
    from doubles.real_named import real_named, txt

    records = {"@": "v=spf1 ip4:192.0.2.0/24 -all", "_dmarc": "v=DMARC1; p=reject", f"{SELECTOR}._domainkey": key()[1]}
    with real_named(folder, {DOMAIN: "".join(txt(*record) for record in records.items())}) as address:
        yield "", f'[dns]\nservers = ["{address}"]'


ENGINES = {
    "testpatterns": plain,
    "authentication": authentication,
    "links": plain,
    "attachments": functools.partial(plain, options="remembered = 0"),  # it would open the one letter once
    "impersonation": authentication,
    "lists": authentication,
    "yara": yara,
    "command": command,
    "webhook": webhook,
    "milter": milter,
    "clamav": clamav,
    "rspamd": rspamd,
    "icap": icap,
    "spamassassin": spamassassin,
}
"""Context managers of a new folder: the engine's options, and further tables of the configuration."""
PROGRAMS = {
    "authentication": "named",
    "impersonation": "named",
    "lists": "named",
    "milter": "opendkim",
    "clamav": "clamd",
    "rspamd": "rspamd",
    "icap": "c-icap",
    "spamassassin": "spamd",
}
"""What must be installed."""
LOCAL = ("testpatterns", "authentication", "links", "attachments", "impersonation", "lists", "yara")
"""Those that look at the message themselves."""


def has_server(name):
    """Whether what the engine asks is installed."""
    program = PROGRAMS.get(name)
    return program is None or shutil.which(program, path=PATH) is not None


def relays(names, folder, stack):
    """How a Sluice with each of these engines is started, and ids of the servers that it asks, by the engine's name."""
    commands, servers = {}, {}
    for name in names:
        before = tree(os.getpid())
        commands[name] = functools.partial(sluice, more=configured([name], folder, stack))
        servers[name] = frozenset(tree(os.getpid())) - frozenset(before)
    return commands, servers


def configured(names, folder, stack):
    """The configuration of these engines, whose servers run until `stack` is left."""
    engines, others = [], set()
    for name in names:
        place = folder / f"server-{name}"
        place.mkdir()
        place.chmod(0o777)  # some run as somebody else
        options, more = stack.enter_context(ENGINES[name](place))
        engines.append(f"[engines.{name}]\n{options}")
        others.add(more)
    return "\n".join([*engines, *sorted(others)[-1:]])
