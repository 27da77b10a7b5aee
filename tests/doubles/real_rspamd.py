"""A real rspamd with a handful of rules, without DNS, Redis and modules: its normal worker on a port of 127.0.0.1.

GTUBE is rejected. A subject with "pills" gets "add header", with "maybe" "greylist", with "later" "soft reject". The
symbol SLUICE_FACTS (0.5) tells in its options what rspamd was told: IP, HELO, sender, number of recipients, host name.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from doubles.processes import free_port, listens, server

_CONFIGURATION = """
options {{
    filters = "";
    pidfile = "{folder}/rspamd.pid";
    tempdir = "{folder}";
    control_socket = "{folder}/control.sock mode=0600";
    url_tld = "{folder}/tld.dat";
    enable_test_patterns = true;
    local_addrs = [];
    max_message = {largest};
    dns {{ nameserver = ["127.0.0.1:1"]; timeout = 0.1s; retransmits = 1; sockets = 1; }}
}}
logging {{ type = "console"; level = "warning"; }}
actions {{ reject = 15; rewrite_subject = 10; add_header = 6; greylist = 4; }}
lua = "{folder}/rules.lua";
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; }}
"""
_RULES = """
local function in_subject(word)
  return function(task) return string.find(tostring(task:get_subject()), word, 1, true) ~= nil end
end
rspamd_config:register_symbol({name = 'SLUICE_FACTS', score = 0.5, callback = function(task)
  local from = task:get_from('smtp')
  local recipients = task:get_recipients('smtp') or {}
  return true, 1.0, 'ip=' .. tostring(task:get_from_ip()), 'helo=' .. (task:get_helo() or ''),
    'from=' .. (from and from[1].addr or ''), 'rcpts=' .. #recipients, 'host=' .. (task:get_hostname() or '')
end})
rspamd_config:register_symbol({name = 'PILLS', score = 6.5, callback = in_subject('pills')})
rspamd_config:register_symbol({name = 'MAYBE', score = 4.5, callback = in_subject('maybe')})
rspamd_config:register_symbol({name = 'LATER', score = 0.0, callback = function(task)
  if in_subject('later')(task) then task:set_pre_result('soft reject', 'come again') end
end})
"""


@dataclass(frozen=True)
class RealRspamd:
    """Where it answers, and its process (`processes.frozen` makes it hang)."""

    url: str
    process: subprocess.Popen[bytes]


def missing() -> str:
    """What is not installed; empty when all is there."""
    return "" if shutil.which("rspamd") else "rspamd"


@contextmanager
def real_rspamd(folder: Path, largest: str = "2mb") -> Iterator[RealRspamd]:
    """Started in the empty `folder`, stopped at the end. `largest`: the message that it takes at most."""
    port = free_port()
    configuration = folder / "rspamd.conf"
    configuration.write_text(_CONFIGURATION.format(folder=folder, port=port, largest=largest))
    (folder / "rules.lua").write_text(_RULES)
    (folder / "tld.dat").write_text("example\ncom\n")
    command = ["rspamd", "-i", "-f", "-c", str(configuration)]  # -i: may run as root, as tests in containers do
    with server(command, folder / "rspamd.log", lambda: listens(port)) as process:
        yield RealRspamd(f"http://127.0.0.1:{port}", process)
