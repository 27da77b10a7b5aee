"""How each relay is started: functions of its folder, its port and the sink's that return a command.

Postfix is an instance of its own in that folder and needs root. `tls`: the folder of tls.pem and tls.key, or None.
"""

import os
import pwd
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from processes import PATH, tool

HERE = Path(__file__).resolve().parent
CONFIG = """\
[node]
name = "mx1.relay.example"
state = "{run}/state"
[smtp]
listen = ["127.0.0.1:{listen}"]
workers = {workers}
{smtp}
[admission]
refresh = false
networks = ["127.0.0.0/8"]
[delivery]
{delivery}
[http]
listen = "127.0.0.1:{http}"
{more}
"""
TENANTS = """\
[[tenant]]
name = "acme"
loop_values = ["k7Jq2mV9xT4bR8nL5wZ3cY6h"]
[[tenant.domain]]
name = "acme.example"
next_hop = "127.0.0.1:{sink}"
verified = true
"""
MAIN = """\
compatibility_level = 3.6
queue_directory = {run}/queue
data_directory = {run}/data
mail_owner = postfix
myhostname = relay.example.net
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = loopback-only
inet_protocols = ipv4
relayhost = [127.0.0.1]:{sink}
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
alias_maps =
local_recipient_maps =
message_size_limit = 104857600
mailbox_size_limit = 0
in_flow_delay = 0
smtpd_relay_restrictions = permit_mynetworks, reject
{tls}
"""
MAIN_TLS = """\
smtpd_tls_security_level = may
smtpd_tls_chain_files = {tls}/tls.key, {tls}/tls.pem
smtp_tls_security_level = encrypt
"""
MASTER = """\
127.0.0.1:{listen} inet n - n - 250 smtpd{proxy}
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
tlsmgr unix - - n 1000? 1 tlsmgr
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


def sluice(run, listen, sink, tls=None, workers=1, http=0, smtp="", delivery="", more=""):
    """Sluice with all its checks, records, metrics and the testpatterns engine. `smtp` ... `more`: further settings."""
    if tls:
        smtp += f'\nrequire_tls = true\ncertificate = "{tls}/tls.pem"\nprivate_key = "{tls}/tls.key"'
        delivery += f'\ntls = "verify"\nroots = "{tls}/tls.pem"'
    else:
        smtp, delivery = smtp + "\nrequire_tls = false", delivery + '\ntls = "off"'
    config, tenants = run / "sluice.toml", run / "tenants.toml"
    config.write_text(
        CONFIG.format(run=run, listen=listen, workers=workers, http=http, smtp=smtp, delivery=delivery, more=more)
    )
    tenants.write_text(TENANTS.format(sink=sink))
    command = [sys.executable, "-m", "relay.cli"]
    subprocess.run([*command, "tenant", "apply", tenants, "--config", config], check=True, stdout=subprocess.DEVNULL)
    return [*command, "serve", "--config", str(config)]


def sluice_2(run, listen, sink, tls=None):
    return sluice(run, listen, sink, tls, workers=2)


def naive(_run, listen, sink, tls=None, *more):
    return [
        sys.executable,
        str(HERE / "naive.py"),
        str(listen),
        str(sink),
        *(["--tls", str(tls)] if tls else []),
        *more,
    ]


def naive_uvloop(run, listen, sink, tls=None):
    return naive(run, listen, sink, tls, "--uvloop")


def postfix(run, listen, sink, tls=None):
    """As a proxy before the queue: what comes in goes to the sink in the same breath, over plain TCP."""
    return _postfix(run, listen, sink, tls, f"\n  -o smtpd_proxy_filter=127.0.0.1:{sink}")


def postfix_queue(run, listen, sink, tls=None):
    """Postfix as most run it: into the queue (on disk), and on from there."""
    return _postfix(run, listen, sink, tls, "")


def _postfix(run, listen, sink, tls, proxy):
    config, owner = run / "conf", pwd.getpwnam("postfix")
    for name in ("conf", "queue", "data"):
        (run / name).mkdir()
    os.chown(run / "data", owner.pw_uid, owner.pw_gid)
    more = MAIN_TLS.format(tls=tls) if tls else "smtp_tls_security_level = none"
    (config / "main.cf").write_text(MAIN.format(run=run, sink=sink, tls=more))
    (config / "master.cf").write_text(MASTER.format(listen=listen, proxy=proxy))
    return [tool("postfix"), "-c", str(config), "start-fg"]


def by_command(command):
    """How a relay is started that we do not know: {listen}, {sink} and {run} in `command` are filled in."""

    def start(run, listen, sink, tls=None):
        return shlex.split(command.format(listen=listen, sink=sink, run=run))

    return start


def installed(name):
    """Whether the relay of this name can be started here."""
    return not name.startswith("postfix") or (shutil.which("postfix", path=PATH) is not None and os.getuid() == 0)


RELAYS = {
    "sluice": sluice,
    "sluice-2": sluice_2,
    "naive": naive,
    "naive-uvloop": naive_uvloop,
    "postfix": postfix,
    "postfix-queue": postfix_queue,
}
