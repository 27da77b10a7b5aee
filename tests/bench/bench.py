"""Messages per second and CPU per message of Sluice, beside a naive relay: smtp-source -> relay -> smtp-sink.

Rounds are interleaved, so that a ratio compares neighbours in time; round 0 warms up and is not counted. Needs
Postfix's smtp-source and smtp-sink. All of Sluice's checks, records and metrics are on.
"""

import argparse
import contextlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
TICK = os.sysconf("SC_CLK_TCK")
#             bytes     sessions  messages
SCENARIOS = {
    "4k-1": (4_096, 1, 1000),
    "4k-10": (4_096, 10, 2000),
    "4k-50": (4_096, 50, 2000),
    "64k-20": (65_536, 20, 600),
    "1m-10": (1_048_576, 10, 100),
    "10m-4": (10_485_760, 4, 12),
}
HEAD = """\
Received: from client.example.com (client.example.com [192.0.2.7]) by mx.example.net; Mon, 02 Mar 2026 10:00:00 +0000
X-Forefront-Antispam-Report: CIP:192.0.2.7;CTRY:DE;SCL:1;SFV:NSPM;H:client.example.com;DIR:INB;
X-PERCEPTION-POINT-CUSTOM: k7Jq2mV9xT4bR8nL5wZ3cY6h
From: Sender <sender@example.com>
To: Recipient <rcpt@acme.example>
Subject: Quarterly figures
Message-ID: <1@example.com>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="=_b"

--=_b
Content-Type: text/plain

Please find the figures attached.
--=_b
Content-Type: application/octet-stream; name="figures.bin"
Content-Transfer-Encoding: base64

"""
CONFIG = """\
[node]
name = "mx1.relay.example"
state = "{run}/state"
[smtp]
listen = ["127.0.0.1:{listen}"]
require_tls = false
[admission]
networks = ["127.0.0.0/8"]
[delivery]
tls = "off"
[http]
listen = "127.0.0.1:0"
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


def tool(name):
    found = shutil.which(name, path=PATH)
    if found is None:
        sys.exit(f"bench: {name} is missing; Debian's package postfix has it")
    return found


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def write_mail(path, size):
    """About `size` bytes, most of them base64 in lines of 76; smtp-source wants local line ends."""
    lines = max(1, (size - len(HEAD)) // 78)
    path.write_text(HEAD + ("TWFueSBoYW5kcyBtYWtlIGxpZ2h0IHdvcmsu" * 3)[:76].join(["", "\n"]) * lines + "--=_b--\n")


def sluice(run, listen, sink):
    config, tenants = run / "sluice.toml", run / "tenants.toml"
    config.write_text(CONFIG.format(run=run, listen=listen))
    tenants.write_text(TENANTS.format(sink=sink))
    command = [sys.executable, "-m", "relay.cli"]
    subprocess.run([*command, "tenant", "apply", tenants, "--config", config], check=True, stdout=subprocess.DEVNULL)
    return [*command, "serve", "--config", str(config)]


def naive(run, listen, sink):
    return [sys.executable, str(HERE / "naive.py"), str(listen), str(sink)]


@contextlib.contextmanager
def running(command, port, log):
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as sock:
                if sock.recv(64).startswith(b"220"):
                    break
            time.sleep(0.05)
        else:
            sys.exit(f"bench: {command[0]} does not answer:\n{log.read_text()}")
        yield process
    finally:
        process.terminate()
        process.wait()


def cpu_seconds(process):
    after_name = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, after_name[11:15])) / TICK


def one_round(process, port, mail, sessions, messages):
    """Messages a second, and CPU milliseconds a message. Exits when the relay refuses a message."""
    command = [
        tool("smtp-source"), "-4", "-s", str(min(sessions, messages)), "-m", str(messages), "-F", str(mail),
        "-M", "client.example.com", "-f", "sender@example.com", "-t", "rcpt@acme.example", f"127.0.0.1:{port}",
    ]  # fmt: skip
    before, start = cpu_seconds(process), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode or re.search(r"fatal|warning|refused", done.stderr):
        sys.exit(f"bench: smtp-source failed: {done.stderr}")
    return messages / seconds, (cpu_seconds(process) - before) * 1000 / messages


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", default="4k-10,64k-20,1m-10", help=f"of {','.join(SCENARIOS)}")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-bench-")))
        sink = free_port()
        command = [
            tool("smtp-sink"),
            "-4",
            *(["-u", "nobody"] if os.getuid() == 0 else []),
            f"127.0.0.1:{sink}",
            "1024",
        ]
        stack.enter_context(running(command, sink, work / "sink.log"))
        relays = {}
        for name, make in (("sluice", sluice), ("naive", naive)):
            run, port = work / name, free_port()
            run.mkdir()
            relays[name] = stack.enter_context(running(make(run, port, sink), port, run / "log")), port
        print("| scenario | relay | msg/s (min..max) | CPU ms/msg (min..max) | rate / naive | CPU / naive |")
        print("|---|---|---|---|---|---|")
        for scenario in asked.scenarios.split(","):
            size, sessions, messages = SCENARIOS[scenario]
            write_mail(work / "mail", size)
            figures = {name: [] for name in relays}
            for number in range(asked.rounds + 1):
                for name, (process, port) in relays.items():
                    figure = one_round(process, port, work / "mail", sessions, messages)
                    if number:
                        figures[name].append(figure)
            tell(scenario, figures)


def tell(scenario, figures):
    for name, rounds in figures.items():
        rates, costs = zip(*rounds, strict=True)
        rate = statistics.median(mine[0] / other[0] for mine, other in zip(rounds, figures["naive"], strict=True))
        cost = statistics.median(mine[1] / other[1] for mine, other in zip(rounds, figures["naive"], strict=True))
        print(
            f"| {scenario} | {name} | {statistics.median(rates):.0f} ({min(rates):.0f}..{max(rates):.0f}) "
            f"| {statistics.median(costs):.2f} ({min(costs):.2f}..{max(costs):.2f}) | {rate:.2f} | {cost:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
