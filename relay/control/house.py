"""What operators ask about the house itself: is its configuration right, what would a new engine look like."""

from collections.abc import Iterable
from pathlib import Path

from relay import checks
from relay.checks import Report
from relay.control.common import Unusable


def check(config: Path, tenant_files: Iterable[Path] = ()) -> Report:
    """All mistakes of all files at once; nothing is changed and nothing raised."""
    return checks.check(config, tenant_files)


def engine_new(name: str, folder: Path) -> list[Path]:
    """Write the package of a new engine into the new folder; its files. Raises Unusable, OSError."""
    from verdicts import skeletons  # noqa: PLC0415 - only this needs it

    try:
        return skeletons.write(name, folder)
    except ValueError as error:
        raise Unusable(str(error)) from None
    except FileExistsError:
        raise Unusable(f"{folder} is there already") from None
