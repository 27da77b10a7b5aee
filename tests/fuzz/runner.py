"""Coverage-guided fuzzing of what reads an outsider's bytes: `make fuzz SECONDS=600`, `make fuzz TARGETS=proxy_header`.

Each file in `targets/` has seeds and a `check` that raises when something is wrong; it runs in a process of its own,
from a corpus in `.fuzz/` that grows from run to run. A crasher is told and kept there: move it to `crashers/TARGET/`,
where it is a test from then on.
"""

import argparse
import hashlib
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WORK = ROOT / ".fuzz"
TARGETS = sorted(file.stem for file in (HERE / "targets").glob("*.py"))
LONGEST = 2_048
"""Bytes of an input: all that is interesting fits, and small inputs run fast."""


def main() -> int:
    """The exit status is 1 when a target failed."""
    parser = argparse.ArgumentParser(description="fuzz what reads an outsider's bytes")
    parser.add_argument("--seconds", type=int, default=60, help="for all targets together")
    parser.add_argument("--one", help="only for the runner itself: fuzz this target in this process")
    parser.add_argument("targets", nargs="*", default=TARGETS, help=", ".join(TARGETS))
    wanted = parser.parse_args()
    if wanted.one:
        fuzz(wanted.one, wanted.seconds)
    if unknown := set(wanted.targets) - set(TARGETS):
        parser.error(f"no target: {', '.join(sorted(unknown))}")
    return run(wanted.targets, wanted.seconds)


def run(targets: Sequence[str], seconds: int) -> int:
    """As many at a time as there are processors, each for the same time."""
    at_once = os.cpu_count() or 1
    each = max(1, seconds * at_once // len(targets))
    failed = []
    for start in range(0, len(targets), at_once):
        begun = [(name, begin(name, each)) for name in targets[start : start + at_once]]
        for name, process in begun:
            output = process.communicate()[0]
            done = [line for line in output.splitlines() if line.startswith(("Done", "stat::number_of"))]
            print(f"{name}: {'failed' if process.returncode else 'passed'}; {' '.join(done)}")
            if process.returncode:
                failed.append(name)
                print(output[-4_000:])
    return 1 if failed else 0


def begin(name: str, seconds: int) -> subprocess.Popen[str]:
    """A process that fuzzes one target."""
    corpus(name)
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.Popen(
        [sys.executable, __file__, "--one", name, "--seconds", str(seconds)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip


def corpus(name: str) -> Path:
    """The folder of inputs to begin with: seeds, crashers, and what earlier runs found."""
    folder = WORK / name
    folder.mkdir(parents=True, exist_ok=True)
    for data in inputs(name):
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)
    return folder


def inputs(name: str) -> Iterator[bytes]:
    """The seeds and the crashers of a target."""
    yield from importlib.import_module(f"fuzz.targets.{name}").SEEDS
    for file in sorted((HERE / "crashers" / name).glob("*")):
        yield file.read_bytes()


def fuzz(name: str, seconds: int) -> None:
    """Fuzz one target in this process; libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["relay", "verdicts"]):
        target = importlib.import_module(f"fuzz.targets.{name}")
    told = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-timeout=5", "-rss_limit_mb=2048"]
    told += [f"-artifact_prefix={WORK}/crasher-{name}-", str(WORK / name)]
    atheris.Setup([name, *told], lambda data: target.check(bytes(data)))
    atheris.Fuzz()


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    sys.exit(main())
