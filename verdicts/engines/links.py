"""Links: lists of bad domains by DNS, own lists, lookalikes of protected domains, and tricks that hide where one leads.

What a link leads to is never fetched. URLs come from the text, the HTML and the subject (`web/links.py`), and by
choice from QR codes in images and from PDF files, which worker processes look into.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

from pydantic import Field

from verdicts.contract import Engine, EngineOptions, Finding, Severity, Tools, Unscanned
from verdicts.mail import Mail
from verdicts.watched import Watched, WatchedFile
from verdicts.web.domainlists import Code, DomainList
from verdicts.web.gathering import HARMLESS
from verdicts.web.linkedfiles import LinkedFiles, Seen
from verdicts.web.linkfiles import Entries, read_entries
from verdicts.web.links import Limits, Link, Links, links, links_of
from verdicts.web.lookalikes import disguised
from verdicts.web.lookups import Answers, LookUps
from verdicts.web.protected import Domain, Protected
from verdicts.web.redirectors import is_shortener
from verdicts.workers import Workers

_TURN = 50  # links looked at in one step

_Seen = tuple[str, Severity, float]
"""Name, severity and weight of a finding."""

TRICKS: dict[str, _Seen] = {
    "userinfo": ("LINK_USERINFO", Severity.SUSPICIOUS, 2.0),
    "odd-address": ("LINK_ODD_ADDRESS", Severity.SUSPICIOUS, 3.0),
    "hidden-host": ("LINK_HIDDEN_HOST", Severity.SUSPICIOUS, 2.0),
    "odd-slashes": ("LINK_ODD_SLASHES", Severity.NOTE, 1.0),
    "blanks": ("LINK_BLANKS", Severity.NOTE, 0.5),
    "defanged": ("LINK_DEFANGED", Severity.NOTE, 0.0),
}
"""What the tricks of `urls.Url` count."""
_HARMLESS_SCRIPTS = ("", ";", "//", "void(0)", "void(0);", "void 0")
_HARMLESS_DATA = ("image/png", "image/gif", "image/jp", "image/webp", "font/", "application/font", "application/x-font")


class LinkEngine(Engine):
    """Looks at every link of a message."""

    class Options(EngineOptions):
        """[engines.links]."""

        lists: list[DomainList] = Field([], max_length=20)
        """Lists of bad domains; none are asked by default, as all have terms of use."""
        block: WatchedFile | None = None
        """A file of hosts and URLs that are malicious, one in a line; read again when it changes."""
        allow: WatchedFile | None = None
        """A file of hosts and URLs about which nothing is said; where they redirect to is looked at."""
        protected_domains: list[Domain] = Field([], max_length=1_000)
        """Domains whose lookalikes are suspicious, besides the tenant's own."""
        max_text_bytes: int = Field(5_000_000, ge=1)
        """Decoded text and HTML that is searched for links in one message; with more it is unscanned."""
        max_urls: int = Field(2_000, ge=1, le=20_000)
        """Links of one message; with more it is unscanned."""
        max_lookups: int = Field(200, ge=1)
        """Questions to all lists for one message; with more it is unscanned."""
        parallel: int = Field(20, ge=1, le=200)
        """Questions of one message at a time."""
        images: bool = False
        """Whether QR codes in images are read, in worker processes."""
        pdf: bool = False
        """Whether the links of PDF files are read, in worker processes; with `images`, their QR codes too."""
        max_files: int = Field(50, ge=1)
        """Images and PDF files of one message that are looked into; with more it is unscanned."""
        max_file_bytes: int = Field(10_000_000, ge=1)
        """Of one of them; a larger one is unscanned."""
        file_seconds: float = Field(3.0, gt=0)
        """Seconds for one of them."""
        workers: int = Field(1, ge=1, le=64)
        """Worker processes of each relay process."""
        worker_memory: int = Field(1_000_000_000, ge=100_000_000)
        """Bytes of memory for each worker process."""
        remembered: int = Field(20_000, ge=0)
        """Answers of lists that are kept, so that lists are asked about a campaign once."""
        remembered_seconds: float = Field(120.0, ge=0, le=3_600)
        """For which one is kept."""
        remembered_files: int = Field(2_000, ge=0)
        """Images and PDF files whose links are kept for an hour, so that those of a campaign are looked into once; what
        could not be read is not tried again for five minutes."""

    def __init__(self, options: Options, tools: Tools) -> None:
        super().__init__(options, tools)
        self._limits = Limits(options.max_text_bytes, options.max_urls)
        self._protected = Protected(options.protected_domains, tools.clock)
        self._block = Watched(options.block, read_entries, tools.clock) if options.block else None
        self._allow = Watched(options.allow, read_entries, tools.clock) if options.allow else None
        self._look_ups = _look_ups(options, tools)
        self._files = _linked_files(options, tools) if options.images or options.pdf else None

    async def judge(self, mail: Mail) -> Iterable[Finding]:
        """Raises `Unscanned` with what was seen of the rest, ValueError when a file of hosts never could be read."""
        found = await self._all_links(mail)
        allowed = await self._allow.said() if self._allow else Entries()
        blocked = await self._block.said() if self._block else Entries()
        judged = [link for link in found.links if not allowed.hold(link.url)]
        seen, hosts = _Tally(), dict[str, Link]()
        async for link in _in_turns(judged):
            if link.url.host and (link.url.host not in hosts or _is_defanged(hosts[link.url.host])):
                hosts[link.url.host] = link
            seen.add_all(_tricks(link), link)
            if blocked.hold(link.url):
                seen.add(("LINK_BLOCKED", Severity.MALICIOUS, 0.0), link)
        await self._compare(hosts.values(), mail.profile.domains, seen)
        listed, unread = await self._look_ups.of(sorted(hosts.values(), key=_is_defanged))
        for link, code in listed:
            seen.add(_listed(code, link), link)
        findings = seen.findings()
        reasons = (*found.unread, *unread)
        if reasons:
            raise Unscanned("; ".join(dict.fromkeys(reasons)), findings)
        return findings

    async def close(self) -> None:
        """End the worker processes, and look for no more changes of files."""
        for held in (self._files, self._block, self._allow):
            if held:
                await held.close()

    async def _all_links(self, mail: Mail) -> Links:
        found = await links(mail, self._limits)
        if self._files is None:
            return found
        texts, unread = await self._files.texts(await mail.read_structure())
        more = await links_of(texts, self._limits)
        return Links((*found.links, *more.links), (*found.unread, *unread, *more.unread))

    async def _compare(self, hosts: Iterable[Link], own: Sequence[str], seen: "_Tally") -> None:
        """With the domains whose lookalikes are suspicious: the tenant's `own`, and the operator's."""
        async for link in _in_turns(hosts):
            if not link.url.address and (like := await self._protected.lookalike(link.url.host, own)):
                seen.add(("LINK_LOOKALIKE", Severity.SUSPICIOUS, 4.0), link, f"is like {like}")


def _look_ups(options: LinkEngine.Options, tools: Tools) -> LookUps:
    answers = Answers(tools.clock, options.remembered)
    return LookUps(options.lists, tools.dns, options.max_lookups, options.parallel, answers, options.remembered_seconds)


def _linked_files(options: LinkEngine.Options, tools: Tools) -> LinkedFiles:
    workers, kept = Workers(options.workers, options.worker_memory), Seen(tools.clock, options.remembered_files)
    return LinkedFiles(
        workers, options.images, options.pdf, options.max_files, options.max_file_bytes, options.file_seconds, kept
    )


class _Tally:
    """What was seen, by name: one finding each, as a newsletter may have a hundred links of a kind."""

    def __init__(self) -> None:
        self._links: dict[_Seen, dict[str, str]] = defaultdict(dict)

    def add_all(self, all_seen: Iterable[_Seen], link: Link) -> None:
        for seen in all_seen:
            self.add(seen, link)

    def add(self, seen: _Seen, link: Link, remark: str = "") -> None:
        host = link.url.host or f"{link.url.scheme}: URL"
        self._links[seen].setdefault(host, remark or (f"behind {link.behind}" if link.behind else ""))

    def findings(self) -> list[Finding]:
        return [Finding(*seen, _detail(hosts)) for seen, hosts in self._links.items()]


def _detail(hosts: dict[str, str]) -> str:
    """For example "evil.example (is like acme.example) and 3 more"."""
    host, remark = next(iter(hosts.items()))
    more = f" and {len(hosts) - 1} more" if len(hosts) > 1 else ""
    return f"{host[:200]}{f' ({remark[:200]})' if remark else ''}{more}"


async def _in_turns(judged: Iterable[Link]) -> AsyncIterator[Link]:
    for number, link in enumerate(judged):
        if number % _TURN == _TURN - 1:
            await asyncio.sleep(0)
        yield link


def _tricks(link: Link) -> Iterator[_Seen]:
    """How the link hides where it leads."""
    url = link.url
    yield from (TRICKS[trick] for trick in url.tricks)
    if url.scheme == "data" and not url.path.lower().startswith(_HARMLESS_DATA):
        yield "LINK_DATA", Severity.SUSPICIOUS, 2.0
    if url.scheme in ("javascript", "vbscript") and url.path.strip().lower() not in _HARMLESS_SCRIPTS:
        yield "LINK_SCRIPT", Severity.SUSPICIOUS, 1.0
    if url.address:
        yield "LINK_ADDRESS", Severity.NOTE, 1.0
    if not url.address and disguised(url.host):
        yield "LINK_DISGUISED", Severity.SUSPICIOUS, 3.0
    if link.shown:
        yield "LINK_SHOWS_OTHER", Severity.SUSPICIOUS, 1.5
    if is_shortener(url):
        yield "LINK_SHORTENED", Severity.NOTE, 0.5
    if link.place == "qr":
        yield "LINK_QR", Severity.NOTE, 1.0


def _listed(code: Code, link: Link) -> _Seen:
    """People who warn of a link make it harmless first: then it is suspicious at most."""
    severity = Severity[code.severity.upper()]
    return code.finding, min(severity, Severity.SUSPICIOUS) if _is_defanged(link) else severity, code.weight


def _is_defanged(link: Link) -> bool:
    return not HARMLESS.isdisjoint(link.url.tricks)
