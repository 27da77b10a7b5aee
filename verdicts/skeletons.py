"""A new engine's package, outside of this repository: the files of `skeleton/` under another name."""

import importlib.util
import keyword
import re
from pathlib import Path

from verdicts.ambiguity import STRUCTURE
from verdicts.registry import available

SKELETON = Path(__file__).parent / "skeleton"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_SPELLINGS = ("early_bird", "early-bird", "EarlyBird")


def write(name: str, into: Path) -> list[Path]:
    """The files of an engine `name`, written into the new folder `into`.

    Raises ValueError when there can be no engine of that name, FileExistsError when the folder exists, OSError.
    """
    check_name(name)
    into.mkdir(parents=True)
    return [_written(source, into, name) for source in sorted(SKELETON.iterdir()) if source.is_file()]


def check_name(name: str) -> None:
    """Raises ValueError with the reason why no engine can be called `name`."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name[:64]!a}: must be 1 to 40 lower-case letters, digits and underscores, a letter first")
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise ValueError(f"{name!a} is a word of the language")
    if name in available():
        raise ValueError(f"there is an engine called {name!a} already")
    if name == STRUCTURE:
        raise ValueError(f"{name!a} is the panel's own verdict on the structure of mail")
    if importlib.util.find_spec(name) is not None:
        raise ValueError(f"there is a module called {name!a} already, which the engine's would hide")


def _written(source: Path, into: Path, name: str) -> Path:
    target = into / _renamed(source.name, name)
    target.write_text(_renamed(source.read_text(), name))
    return target


def _renamed(text: str, name: str) -> str:
    new = (name, name.replace("_", "-").strip("-"), "".join(word.capitalize() for word in name.split("_")))
    for old, spelling in zip(_SPELLINGS, new, strict=True):
        text = text.replace(old, spelling)
    return text
