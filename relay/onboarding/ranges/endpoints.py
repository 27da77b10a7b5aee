"""Microsoft's endpoints web service: what it is asked, and what its answers say. All that it says is an outsider's.

https://learn.microsoft.com/microsoft-365/enterprise/microsoft-365-ip-web-service: a random client id of one's own, the
version at most once an hour, the list only when the version is new; after 429 an hour of silence.
"""

import asyncio
import email.utils
import ssl
from collections.abc import Mapping
from typing import Any, Literal, Protocol

import orjson

from relay.intake.microsoft import INSTANCES, Published, date_of, mail_networks
from relay.intake.options import Network
from relay.onboarding.ranges.guards import impossible
from relay.onboarding.ranges.notebook import HOUR
from relay.tools import TooLarge
from verdicts.contract import HttpReply

SECONDS = 30.0
"""For one answer."""
LARGEST = 1_000_000
"""Bytes of an answer; the list of all service areas has a tenth of that."""
LONGEST_WAIT = 7 * 86_400.0
"""Seconds that a Retry-After may ask for: a mistaken one must not silence us for ever."""
AHEAD = 31 * 86_400.0
"""Seconds that a version may be dated ahead, or else a mistaken one would count as the newest for ever. Microsoft tells
of changes 30 days before they come."""

Kind = Literal["unreachable", "tls", "timeout", "limited", "status", "malformed", "refused", "state"]
"""How it can fail: the last two are a list that cannot be (`guards.impossible`), and our own state folder."""


class Failed(Exception):
    """There is no answer, or none that can be used."""

    def __init__(self, kind: Kind, detail: str, wait: float = 0.0) -> None:
        """`wait`: seconds for which nothing may be asked."""
        super().__init__(detail)
        self.kind, self.wait = kind, wait


class Http(Protocol):
    """What asks: `relay.tools.PooledHttp`."""

    async def get(self, url: str, *, limit: int) -> HttpReply:
        """GET; follows no redirect, and raises OSError."""


class Endpoints:
    """The web service at `url`, asked in the name of the client id `client`."""

    def __init__(self, http: Http, url: str, client: str) -> None:
        self._http, self._url, self._client = http, url.rstrip("/"), client

    async def version(self, cloud: str, now: float) -> str:
        """The version of the cloud's latest list. Raises Failed."""
        body = await self._get(f"/version/{INSTANCES[cloud]}", "", now)
        return await asyncio.to_thread(read_version, body, INSTANCES[cloud], now)

    async def published(self, cloud: str, version: str, now: float) -> Published:
        """The cloud's latest list, which has this version. Raises Failed."""
        body = await self._get(f"/endpoints/{INSTANCES[cloud]}", "ServiceAreas=Exchange&", now)
        return Published(version, await asyncio.to_thread(read_networks, body))

    async def _get(self, path: str, more: str, now: float) -> bytes:
        url = f"{self._url}{path}?{more}clientrequestid={self._client}"
        try:
            async with asyncio.timeout(SECONDS):
                reply = await self._http.get(url, limit=LARGEST)
        except TimeoutError as error:
            raise Failed("timeout", f"{path}: no whole answer in {SECONDS:.0f} s") from error
        except ssl.SSLError as error:
            raise Failed("tls", str(error)) from error
        except TooLarge as error:
            raise Failed("malformed", f"{path}: {error}") from error
        except OSError as error:
            raise Failed("unreachable", str(error)) from error
        if reply.status == 429:
            raise Failed("limited", f"{path}: asked too often (429)", max(retry_after(reply.headers, now), HOUR))
        if reply.status != 200:
            raise Failed("status", f"{path}: the answer is {reply.status} and not 200")
        return reply.body


def read_version(body: bytes, instance: str, now: float) -> str:
    """The latest version in an answer: of one record, or of that of a list which is about `instance`. Raises Failed."""
    said = _json(body)
    records = said if isinstance(said, list) else [said]
    ours = [record for record in records if isinstance(record, dict) and record.get("instance") == instance]
    version = ours[0].get("latest") if len(ours) == 1 else None
    if not isinstance(version, str):
        raise Failed("malformed", f"the answer tells no version of {instance}")
    try:
        date = date_of(version)
    except ValueError as error:
        raise Failed("malformed", f"the version {error}") from error
    if date > now + AHEAD:
        raise Failed("refused", f"the version {version} is of a day too far ahead")
    return version


def read_networks(body: bytes) -> tuple[Network, ...]:
    """The networks that mail comes from, in a whole list. Raises Failed."""
    try:
        networks = mail_networks(_json(body))
    except ValueError as error:
        raise Failed("malformed", f"the list {error}"[:200]) from error
    if reason := impossible(networks):
        raise Failed("refused", f"the list cannot be: {reason}")
    return networks


def retry_after(headers: Mapping[str, str], now: float) -> float:
    """The seconds that Retry-After asks for, as a number or a date (RFC 9110 section 10.2.3), within bounds."""
    text = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), LONGEST_WAIT)
    try:
        return min(max(email.utils.parsedate_to_datetime(text).timestamp() - now, 0.0), LONGEST_WAIT)
    except (ValueError, OverflowError):
        return 0.0


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))
    except ValueError as error:
        raise Failed("malformed", f"the answer is no JSON: {error}"[:200]) from error
