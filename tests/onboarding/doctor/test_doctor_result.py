"""The identifiers of checks are a contract: the README lists those that the code has, and no others."""

import re
from pathlib import Path

import relay.onboarding.doctor
from relay import control

ROOM = Path(relay.onboarding.doctor.__file__).parent


def test_every_id_is_in_the_readme():
    files = [*ROOM.glob("*.py"), *Path(control.__file__).parent.glob("*.py")]
    used = {found for file in files for found in re.findall(r'Topic\("([a-z.]+)"', file.read_text())}
    listed = set()
    for cell in re.findall(r"^\| (`[^|]+) \|", (ROOM / "README.md").read_text(), re.MULTILINE):
        names = re.findall(r"`([a-z.]+)`", cell)
        listed |= {names[0].partition(".")[0] + name if name.startswith(".") else name for name in names}
    assert used == listed
