"""What became of a question to the DNS: five ends, which nobody may take for one another."""

import enum
from dataclasses import dataclass
from typing import Literal

Kind = Literal["A", "AAAA", "MX", "NS", "PTR", "TXT"]


class Said(enum.StrEnum):
    """How a question ended. Only the first three are answers; after the others, nobody knows."""

    FOUND = "found"
    NO_RECORD = "no such record"
    """The name exists, and has no record of this kind (NODATA, RFC 2308 section 2.2)."""
    NO_NAME = "no such name"
    """Neither the name nor anything below it exists (NXDOMAIN, RFC 2308 section 2.1, RFC 8020)."""
    NO_ANSWER = "no answer"
    """Nobody answered in time, or the servers failed, refused, or do not know the zone. May pass."""
    BROKEN = "broken answer"
    """What came cannot be read, or answers something else."""

    @property
    def certain(self) -> bool:
        """Whether it is an answer."""
        return self not in {Said.NO_ANSWER, Said.BROKEN}


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of one question."""

    said: Said
    records: tuple[str, ...] = ()
    """As text: MX "10 mx.acme.example", the null MX "0 " (RFC 7505); the strings of a TXT record joined."""
    detail: str = ""
    """Why there is no answer, or none that can be read; for people and the log."""
    alias: str = ""
    """The name at the end of the CNAMEs, where what was asked for is one (RFC 1034 section 3.6.2)."""
