from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from quarantine_kit import BODY, NOW

from relay.quarantine.entry import Entry
from relay.quarantine.folder import Folder
from relay.quarantine.ids import new_id


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path / "quarantine")
    yield made
    made.close()


@pytest.fixture
def entry() -> Callable[..., Entry]:
    def make(at: float = NOW, size: int = len(BODY), **facts: object) -> Entry:
        plain: dict = {
            "id": new_id(at),
            "at": at,
            "tenant": "acme",
            "session": {"id": "s", "peer": "127.0.0.1", "helo": "h", "tls": None},
            "sender": "a@sender.example",
            "recipients": [{"address": "b@acme.example", "notify": None, "orcpt": None}],
            "size": size,
            "next_hop": "mx.acme.example:25",
            "verdicts": [{"engine": "testpatterns", "findings": [{"name": "EICAR", "weight": 1.5}]}],
            "decision": {"category": "malicious"},
        }
        return Entry(**(plain | facts))

    return make


@pytest.fixture
def pieces() -> Callable[[], Iterator[bytes]]:
    return lambda: iter([BODY[:100], b"", BODY[100:101], BODY[101:]])


@pytest.fixture
def litter(tmp_path: Path) -> Callable[[], list[str]]:
    """The files below the quarantine, and what lies in its tmp."""

    def look() -> list[str]:
        root = tmp_path / "quarantine"
        files = [path for path in root.rglob("*") if path.is_file()]
        return sorted(str(path.relative_to(root)) for path in {*files, *root.glob("tmp/*")})

    return look
