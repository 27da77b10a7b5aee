"""What a test needs of the machine: skipped where it is missing, failed where CI=true."""

import os
import shutil

import pytest

_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def need(program: str) -> str:
    """The path of `program`; without it the test is skipped, or fails when CI=true."""
    found = shutil.which(program, path=_PATH)
    if found:
        return found
    if os.environ.get("CI") == "true":
        pytest.fail(f"{program} is missing, and CI=true")
    return pytest.skip(f"{program} is not installed")
