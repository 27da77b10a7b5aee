"""Messages per second and CPU per message of Sluice, beside other relays: generator -> relay -> sink.

Rounds are interleaved, so that a ratio compares neighbours in time; round 0 warms up and is not counted. Needs
Postfix's smtp-source and smtp-sink. All of Sluice's checks, records and metrics are on. See README.md.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from engines import ENGINES, has_server
from engines import relays as with_engines
from mails import MIB, letter
from processes import end_in_order, free_port, running, tool
from relays import RELAYS, by_command, installed
from scenarios import HERE, SCENARIOS, Relay, Rig
from signing import signed_letter


def certificate(folder):
    """tls.pem and tls.key for 127.0.0.1, ECDSA P-256, its own root."""
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", folder / "tls.key", "-out", folder / "tls.pem",
        ], check=True, capture_output=True,
    )  # fmt: skip
    return folder


def sink_command(port, tls, ours):
    """smtp-sink's, or sink.py's where that is `ours` to choose."""
    if ours:
        return [sys.executable, str(HERE / "sink.py"), str(port), *(["--tls", str(tls)] if tls else [])]
    user = ["-u", "nobody"] if os.getuid() == 0 else []
    return [tool("smtp-sink"), "-4", *user, f"127.0.0.1:{port}", "1024"]


@contextlib.contextmanager
def rig(known, names, asked, ours, servers):
    """The sink and the relays of these names while they run: (rig, relays); `servers` that they ask, by their names."""
    loads, relays_on = ("0", f"1-{os.cpu_count() - 1}") if asked.pin else (None, None)
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-bench-")))
        work.chmod(0o755)  # Postfix runs as somebody else
        tls, sink = certificate(work) if asked.tls else None, free_port()
        stack.enter_context(running(sink_command(sink, tls, ours), sink, work / "sink.log", loads))
        relays = []
        for name in names:
            folder, port = work / name, free_port()
            folder.mkdir()
            command, log = known[name](folder, port, sink, tls), folder / "log"
            process = stack.enter_context(running(command, port, log, relays_on))
            relays.append(Relay(name, process, port, log, servers.get(name, frozenset())))
        yield Rig(work, sink, tls, loads), relays


def measure(rig, relays, scenario, asked):
    """The rounds of each relay. The first one warms up and says how many messages fill the seconds."""
    for size in (scenario.bytes, 10 * MIB):
        if not (file := rig.folder / f"letter-{size}").exists():
            file.write_text((signed_letter if asked.engines else letter)(size))
    figures, messages = defaultdict(list), {}
    for number in range(asked.rounds + 1):
        for relay in relays:
            figure = rig.run(relay, scenario, messages.get(relay.name, scenario.fewest))
            if number:
                figures[relay.name].append(figure)
            else:
                messages[relay.name] = max(scenario.fewest, int(figure["rate"] * asked.seconds))
    return figures


def spread(rounds, name, digits):
    values = [figure[name] for figure in rounds]
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}..{max(values):.{digits}f})"


def ratio(mine, others, name):
    """The median of this relay's figure over the other's in the same round."""
    return f"{statistics.median(a[name] / b[name] for a, b in zip(mine, others, strict=True)):.2f}"


def columns(timed, workers, engines):
    """Title, key of a round and digits of each column of figures."""
    if engines:
        return [("p50 ms", "p50", 2), ("CPU ms/msg", "cpu", 2), ("p99 ms", "p99", 2)]
    if timed:
        return [("p50 ms", "p50", 2), ("p99 ms", "p99", 2), ("msg/s", "rate", 0)]
    return [("msg/s", "rate", 0), ("CPU ms/msg", "cpu", 2), *([("busiest process", "busiest", 2)] if workers else [])]


def head(shown, subject):
    """The table's first two lines. The last columns hold the figures of `subject`, the first relay, over each one's."""
    cells = ["scenario", "relay", *(f"{title} (min..max)" for title, _, _ in shown)]
    cells += [f"{subject}'s {title.split()[0]} to it" for title, _, _ in shown[:2]]
    return f"| {' | '.join(cells)} |\n|{'---|' * len(cells)}"


def row(scenario, relay, figures, shown, subject):
    cells = [scenario, relay, *(spread(figures[relay], key, digits) for _, key, digits in shown)]
    cells += [ratio(figures[subject], figures[relay], key) for _, key, _ in shown[:2]]
    return f"| {' | '.join(cells)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", help=f"all, or of {','.join(SCENARIOS)}")
    parser.add_argument("--relays", help=f"of {','.join(RELAYS)}; those that are installed")
    parser.add_argument(
        "--relay", action="append", default=[], metavar="NAME=COMMAND",
        help="one more relay: a command in which {listen}, {sink} and {run} become two ports and its own folder",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5, help="about as long as one round shall take")
    parser.add_argument("--tls", action="store_true", help="STARTTLS on both sides; generator and sink are ours then")
    parser.add_argument("--workers", action="store_true", help="two workers beside one")
    parser.add_argument("--engines", help=f"what each verdict engine costs: all, or of {','.join(ENGINES)}")
    parser.add_argument("--pin", action="store_true", help="generator and sink on core 0, relays on the others")
    parser.add_argument("--json", type=Path, help="write all rounds to this file")
    asked = parser.parse_args()
    if asked.pin and (os.cpu_count() or 1) < 2:
        parser.error("--pin needs two cores")
    end_in_order()
    with contextlib.ExitStack() as stack:
        known, names, servers = engines(asked, stack) if asked.engines else (*peers(asked, parser), {})
        kept = tables(asked, known, names, servers)
    if asked.engines:
        print(*costs(kept), sep="\n")
    if asked.json:
        asked.json.write_text(json.dumps(kept, indent=1) + "\n")


def peers(asked, parser):
    """How each wanted relay is started, and their names."""
    default = "sluice-2,sluice" if asked.workers else "sluice,naive,naive-uvloop,postfix"
    names = (asked.relays or default + (",postfix-queue" if asked.tls and not asked.workers else "")).split(",")
    others = {name: by_command(command) for name, _, command in (text.partition("=") for text in asked.relay)}
    names = [*(name for name in names if installed(name)), *others]
    if "postfix-queue" in names and not asked.tls:
        parser.error("postfix-queue can be measured with --tls only: smtp-sink does not tell what it took")
    return RELAYS | others, names


def engines(asked, stack):
    """The same for a Sluice with each wanted engine, and ids of the servers that it asks, which run until `stack` is
    left.
    """
    names = [name for name in ENGINES if has_server(name)] if asked.engines == "all" else asked.engines.split(",")
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-bench-")))
    folder.chmod(0o755)
    known, servers = with_engines(names, folder, stack)
    return known, names, servers


def costs(kept):
    """What each engine costs, as README.md tells it: p50, CPU of Sluice and of the servers that it asked, each of its
    best round, as whatever else the machine does can only add to it.
    """
    yield f"| engine | {' | '.join(kept)} |\n|{'---|' * (len(kept) + 1)}"
    for name in next(iter(kept.values())):
        yield f"| {name} | {' | '.join(cost(rounds[name]) for rounds in kept.values())} |"


def cost(rounds):
    p50, cpu, servers = (min(figure[key] for figure in rounds) for key in ("p50", "cpu", "servers"))
    return f"{p50:.1f} ms, {cpu:.1f}" + (f" + {servers:.1f}" if servers else "")


def tables(asked, known, names, servers):
    """Measure and print; all rounds."""
    default = "lat-4k-1,lat-64k-1,lat-10m-1" if asked.engines else "4k-10,64k-20,1m-10,lat-4k-1"
    wanted = list(SCENARIOS) if asked.scenarios == "all" else (asked.scenarios or default).split(",")
    kept = {}
    for timed in (False, True):
        chosen = [name for name in wanted if SCENARIOS[name].timed == timed]
        if not chosen:
            continue
        shown = columns(timed, asked.workers, asked.engines)
        with rig(known, names, asked, timed or asked.tls, servers) as (made, relays):
            print(head(shown, names[0]), flush=True)
            for name in chosen:
                kept[name] = measure(made, relays, SCENARIOS[name], asked)
                print(*(row(name, each, kept[name], shown, names[0]) for each in names), sep="\n", flush=True)
        print()
    return kept


if __name__ == "__main__":
    main()
