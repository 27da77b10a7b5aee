"""The curves that show whether Sluice stays steady: memory, stall, judging, overload. Writes NAME.json and NAME.png.

Each is told in its file. Needs two cores, 8 GB on the temporary folder's disk, and matplotlib (the extra `bench`).
"""

import argparse
import importlib
import json
import resource
import sys
import time
from pathlib import Path

from processes import end_in_order
from scenarios import HERE

CURVES = ("memory", "stall", "judging", "overload")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curves", nargs="*", default=list(CURVES), metavar="CURVE", help=f"of {', '.join(CURVES)}")
    parser.add_argument("--quick", action="store_true", help="shorter and smaller, to see that it works")
    parser.add_argument("--out", type=Path, default=HERE / "curves")
    asked = parser.parse_args()
    end_in_order()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    asked.out.mkdir(parents=True, exist_ok=True)
    for name in asked.curves:
        start = time.perf_counter()
        found = importlib.import_module(name).measure(asked.quick)
        (asked.out / f"{name}.json").write_text(json.dumps(found) + "\n")
        print(f"{name}: {time.perf_counter() - start:.0f} s, {asked.out / name}.json", file=sys.stderr)
        importlib.import_module("curves").draw(name, found, asked.out / f"{name}.png")


if __name__ == "__main__":
    main()
