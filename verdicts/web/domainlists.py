"""Lists of bad domains that are asked by DNS: Spamhaus DBL, SURBL, URIBL, and any other by configuration.

Sources: docs.spamhaus.com ("DBL return codes"; 127.255.255.0/24 are errors, never listings), surbl.org ("Lists",
multi.surbl.org is a bit mask), uribl.com ("About": bit 1 means that the query was refused). All of them have terms of
use, and refuse who asks through a public resolver: name them only with the operator's consent.
"""

import ipaddress
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from verdicts.domains import MAX_NAME
from verdicts.web.urls import Url

_LISTED = ipaddress.ip_network("127.0.0.0/8")
_ERRORS = ipaddress.ip_network("127.255.255.0/24")
_REFUSED = 1
"""The bit by which SURBL and URIBL refuse, as 127.0.0.1."""

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "dbl": {
        "zone": "dbl.spamhaus.org",
        "asks": "host",
        "codes": {
            "127.0.1.2": {"finding": "DBL_SPAM", "severity": "spam"},
            "127.0.1.4": {"finding": "DBL_PHISH", "severity": "malicious"},
            "127.0.1.5": {"finding": "DBL_MALWARE", "severity": "malicious"},
            "127.0.1.6": {"finding": "DBL_BOTNET", "severity": "malicious"},
            "127.0.1.102": {"finding": "DBL_ABUSED_SPAM", "severity": "suspicious", "weight": 2.5},
            "127.0.1.103": {"finding": "DBL_ABUSED_REDIRECTOR", "severity": "suspicious", "weight": 1.5},
            "127.0.1.104": {"finding": "DBL_ABUSED_PHISH", "severity": "spam"},
            "127.0.1.105": {"finding": "DBL_ABUSED_MALWARE", "severity": "spam"},
            "127.0.1.106": {"finding": "DBL_ABUSED_BOTNET", "severity": "spam"},
        },
    },
    "surbl": {
        "zone": "multi.surbl.org",
        "asks": "domain",
        "addresses": True,
        "match": "bits",
        "codes": {
            "8": {"finding": "SURBL_PHISH", "severity": "malicious"},
            "16": {"finding": "SURBL_MALWARE", "severity": "malicious"},
            "64": {"finding": "SURBL_ABUSE", "severity": "spam"},
            "128": {"finding": "SURBL_CRACKED", "severity": "spam"},
        },
    },
    "uribl": {
        "zone": "multi.uribl.com",
        "asks": "domain",
        "addresses": True,
        "match": "bits",
        "codes": {
            "2": {"finding": "URIBL_BLACK", "severity": "spam"},
            "4": {"finding": "URIBL_GREY", "severity": "suspicious", "weight": 1.0},
            "8": {"finding": "URIBL_RED", "severity": "suspicious", "weight": 1.0},
        },
    },
}


class Code(BaseModel):
    """What one answer of a list means."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    finding: str = Field(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")
    """The name of the finding, for example "DBL_SPAM"."""
    severity: Literal["note", "suspicious", "spam", "malicious"]
    """Its severity."""
    weight: float = Field(0.0, ge=-1_000, le=1_000)
    """Its weight."""


class Answer(NamedTuple):
    """What a list said of one name: codes when it is listed, `trouble` when the list cannot tell."""

    codes: tuple[Code, ...] = ()
    trouble: str = ""


class DomainList(BaseModel):
    """One list: a preset, or all of it; what is given beside a preset replaces the preset's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: Literal["dbl", "surbl", "uribl"] | None = None
    """A list that is known: Spamhaus DBL, SURBL multi, URIBL multi."""
    name: str = Field("", max_length=64)
    """What it is called in reasons; the preset's name or the zone by default."""
    zone: str = Field(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+$", max_length=200)
    """Its zone."""
    key: SecretStr | None = None
    """The account's key, put between name and zone: NAME.KEY.ZONE. It is told to nobody but the resolver."""
    asks: Literal["host", "domain"] = "domain"
    """Whether the whole host name is asked for, or only what was registered of it."""
    addresses: bool = False
    """Whether IPv4 addresses are asked for, reversed."""
    match: Literal["exact", "bits"] = "exact"
    """Whether codes are whole answers ("127.0.1.2"), or bits of an answer's last number ("8")."""
    codes: dict[str, Code] = Field(min_length=1)
    """What its answers mean."""

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, values: Any) -> Any:
        """With what the preset says."""
        if not isinstance(values, dict):
            return values
        return {**PRESETS.get(str(values.get("preset")), {}), **values}

    @field_validator("key")
    @classmethod
    def _is_name(cls, key: SecretStr | None) -> SecretStr | None:
        labels = key.get_secret_value().split(".") if key else []
        if not all(0 < len(label) <= 63 and label.isascii() and label.replace("-", "").isalnum() for label in labels):
            raise ValueError("must be letters, digits and hyphens")
        return key

    @model_validator(mode="after")
    def _has_codes(self) -> Self:
        for code in self.codes:
            if self.match == "bits" and not (code.isdigit() and int(code) in (2, 4, 8, 16, 32, 64, 128)):
                raise ValueError(f"the code {code!r} is no bit: 2, 4, 8, 16, 32, 64 or 128")
            if self.match == "exact" and not _is_listing(code):
                raise ValueError(f"the code {code!r} is no address in 127.0.0.0/8, or one of the errors")
        return self

    @property
    def title(self) -> str:
        """What it is called."""
        return self.name or self.preset or self.zone

    def question(self, url: Url) -> str:
        """What to ask for `url`; empty when the list does not tell of such a host. It may hold the key."""
        if url.address:
            name = ".".join(reversed(url.host.split("."))) if self.addresses and ":" not in url.host else ""
        else:
            name = url.host if self.asks == "host" else url.domain
        if not name or "." not in name:
            return ""
        return f"{name}.{self._behind}" if len(name) + 1 + len(self._behind) <= MAX_NAME else ""

    @property
    def _behind(self) -> str:
        return f"{self.key.get_secret_value()}.{self.zone}" if self.key else self.zone

    def answer(self, addresses: tuple[str, ...]) -> Answer:
        """What the A records say; none of them means: not listed."""
        codes: list[Code] = []
        trouble = ""
        for text in addresses:
            known = self._known(text) if _is_listing(text) else []
            codes.extend(known)
            trouble = trouble if known else f"answered {text[:40]}, which is no listing"
        return Answer(tuple(dict.fromkeys(codes)), trouble)

    def _known(self, text: str) -> list[Code]:
        if self.match == "exact":
            return [self.codes[text]] if text in self.codes else []
        bits = int(text.rpartition(".")[2])
        if bits & _REFUSED:
            return []
        return [code for bit, code in self.codes.items() if bits & int(bit)]


def _is_listing(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return address in _LISTED and address not in _ERRORS
