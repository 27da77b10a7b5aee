"""How long the event loop is held up by hostile things when all engines look at them that need no server of theirs."""

import contextlib
import tempfile
from pathlib import Path

import stall
from engines import LOCAL, configured


def measure(quick):
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-bench-")))
        folder.chmod(0o755)
        return stall.measure(quick, more=configured(LOCAL, folder, stack))
