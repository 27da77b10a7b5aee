"""The verdict engines, each as one more Sluice of the table: with that engine alone, and a real server behind it.

`sluice` itself, with testpatterns, is what to compare them with. Engines whose server is not installed are left out.
"""

import contextlib
import functools
import subprocess
import sys
import time

from processes import free_port, tool
from relays import HERE, sluice

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
ZONE = """\
$TTL 300
@       IN SOA ns hostmaster 1 3600 600 86400 60
@       IN NS  ns
ns      IN A   127.0.0.1
@       IN TXT "v=spf1 ip4:192.0.2.0/24 -all"
_dmarc  IN TXT "v=DMARC1; p=reject"
"""


NAMED = """\
options {{
    directory "{folder}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
    pid-file none; session-keyfile none; recursion no; dnssec-validation no;
}};
controls {{ }};
zone "example.com" {{ type primary; file "zone"; }};
"""


@contextlib.contextmanager
def plain(_folder, options=""):
    """An engine that needs no server."""
    yield options, ""


@contextlib.contextmanager
def rspamd(folder):
    from doubles.real_rspamd import real_rspamd

    with real_rspamd(folder) as server:
        yield f'url = "{server.url}"', ""


@contextlib.contextmanager
def clamav(folder):
    from doubles.real_clamd import real_clamd

    with real_clamd(folder) as server:
        yield f'address = "{server.address}"', ""


@contextlib.contextmanager
def spamassassin(_folder):
    from doubles.real_spamd import real_spamd

    with real_spamd() as server:
        yield f'address = "{server.address}"\nbeyond = "skip"', ""


@contextlib.contextmanager
def icap(folder):
    from doubles.real_cicap import real_cicap
    from doubles.real_clamd import real_clamd

    (folder / "clamd").mkdir()
    with real_clamd(folder / "clamd") as scanner, real_cicap(folder, scanner) as server:
        yield f'url = "{server.url}/avscan"', ""


@contextlib.contextmanager
def milter(folder):
    from doubles.real_milters import real_opendkim

    with real_opendkim(folder) as server:
        yield f'address = "{server.address}"', ""


@contextlib.contextmanager
def webhook(_folder):
    port = free_port()
    with subprocess.Popen([sys.executable, str(HERE / "engine.py"), str(port), "--delay", "0"]) as server:
        try:
            time.sleep(1.0)
            yield f'url = "http://127.0.0.1:{port}/findings"\nsecret = "{"s" * 16}"', ""
        finally:
            server.terminate()


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
    port = free_port()
    (folder / "zone").write_text(ZONE)
    (folder / "named.conf").write_text(NAMED.format(folder=folder, port=port))
    with subprocess.Popen(
        [tool("named"), "-g", "-n", "1", "-c", str(folder / "named.conf")], stderr=subprocess.DEVNULL
    ) as server:
        try:
            time.sleep(1.0)
            yield "", f'[dns]\nservers = ["127.0.0.1:{port}"]'
        finally:
            server.terminate()


ENGINES = {
    "testpatterns": plain,
    "authentication": authentication,
    "links": plain,
    "attachments": plain,
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
LOCAL = ("testpatterns", "authentication", "links", "attachments", "impersonation", "lists", "yara")
"""Those that look at the message themselves."""


def relays(names, folder, stack):
    """How a Sluice with each of these engines is started, by the engine's name."""
    return {name: functools.partial(sluice, more=configured([name], folder, stack)) for name in names}


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
