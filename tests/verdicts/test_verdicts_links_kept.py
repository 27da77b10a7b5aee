"""A campaign is judged once: what the links engine keeps, for how long, and what nobody can do with it."""

import io
import random
import subprocess

import pypdf
import pytest
from doubles.need import need
from doubles.real_named import questions, real_named
from PIL import Image
from pypdf.annotations import Link as PdfLink

from relay.dns import Resolver, resolver
from verdicts.contract import Severity, Unscanned
from verdicts.engines.links import LinkEngine
from verdicts.kit import PretendDns, letter, mail_of, pretend_tools
from verdicts.mail import Profile

LISTED = {"evil.example.dbl.test": ["127.0.1.4"]}


class CountingDns(PretendDns):
    """Remembers what it was asked."""

    def __init__(self, hosts=None):
        super().__init__(hosts=dict(LISTED if hosts is None else hosts))
        self.asked = []

    async def records(self, name, kind):
        self.asked.append(name)
        return await super().records(name, kind)


def engine(dns=None, **options):
    options = {"lists": [{"preset": "dbl", "zone": "dbl.test"}], **options}
    return LinkEngine(LinkEngine.Options.model_validate(options), pretend_tools(dns=dns or CountingDns()))


async def names(judging, text, **more):
    """The findings' names, and the reason when it is unscanned."""
    found, reason = await told(judging, mail_of(letter(text), **more))
    return sorted(finding.name for finding in found), reason


async def told(judging, mail):
    try:
        return list(await judging.judge(mail)), ""
    except Unscanned as unscanned:
        return list(unscanned.findings), unscanned.reason


async def test_lists_are_asked_about_a_campaign_once():
    dns = CountingDns()
    judging = engine(dns)
    for number in range(5):  # each recipient has a link of his own, and a tenant
        text = f"http://evil.example/{number} http://fine.example/?to={number}"
        assert await names(judging, text, tenant=f"tenant{number}") == (["DBL_PHISH"], "")
    assert sorted(dns.asked) == ["evil.example.dbl.test", "fine.example.dbl.test"]


async def test_a_real_name_server_hears_of_a_campaign_once(tmp_path, monkeypatch):
    monkeypatch.setattr(resolver, "NEGATIVE_TTL", 0)  # what the resolver keeps is not what is tried here
    zones = {"dbl.test": "evil.example 0 IN A 127.0.1.4\n", "surbl.test": "evil.example 0 IN A 127.0.0.8\n"}
    lists = [{"preset": "dbl", "zone": "dbl.test"}, {"preset": "surbl", "zone": "surbl.test"}]
    asked = []
    with real_named(tmp_path, zones) as server:
        judging = engine(Resolver([server], 2.0), lists=lists)
        for number in range(3):
            text = f"http://evil.example/{number} http://fine.example/"
            assert await names(judging, text) == (["DBL_PHISH", "SURBL_PHISH"], "")
            asked.append(sorted(questions(tmp_path)))
        judging.tools.clock.now += 120
        await names(judging, "http://evil.example/ http://fine.example/")
        asked.append(sorted(questions(tmp_path)))
    once = sorted(f"{host}.example.{zone}" for host in ("evil", "fine") for zone in zones)
    assert asked == [once, once, once, sorted(once * 2)]


@pytest.mark.parametrize("seconds", [0.0, 30.0, 600.0])
async def test_an_answer_is_kept_for_so_long_and_no_longer(seconds):
    dns = CountingDns({})
    judging = engine(dns, remembered_seconds=seconds)
    assert await names(judging, "http://evil.example/") == ([], "")
    dns.hosts.update(LISTED)
    judging.tools.clock.now += seconds - 0.1 if seconds else 0
    assert await names(judging, "http://evil.example/") == ([] if seconds else ["DBL_PHISH"], "")
    judging.tools.clock.now += 0.1
    assert await names(judging, "http://evil.example/") == (["DBL_PHISH"], "")
    dns.hosts.clear()
    judging.tools.clock.now += seconds
    assert await names(judging, "http://evil.example/") == ([], "")


@pytest.mark.parametrize("trouble", [OSError("down"), ["127.255.255.254"], ["127.0.1.99"], ["127.0.1.4", "192.0.2.1"]])
async def test_what_a_list_could_not_tell_is_asked_again(trouble):
    dns = CountingDns({"evil.example.dbl.test": trouble})
    judging = engine(dns)
    assert (await names(judging, "http://evil.example/"))[1]
    dns.hosts.update(LISTED)
    assert await names(judging, "http://evil.example/") == (["DBL_PHISH"], "")
    dns.hosts["evil.example.dbl.test"] = trouble  # what was told before holds while the list is down
    assert await names(judging, "http://evil.example/") == (["DBL_PHISH"], "")


async def test_one_list_that_is_down_costs_no_answer_of_another():
    dns = CountingDns({**LISTED, "evil.example.surbl.test": OSError("down")})
    judging = engine(dns, lists=[{"preset": "dbl", "zone": "dbl.test"}, {"preset": "surbl", "zone": "surbl.test"}])
    for _ in range(2):
        assert await names(judging, "http://evil.example/") == (["DBL_PHISH"], "the list surbl gave no answer")
    assert sorted(dns.asked) == ["evil.example.dbl.test", *["evil.example.surbl.test"] * 2]


async def test_two_lists_of_one_zone_have_answers_of_their_own():
    other = {"127.0.1.4": {"finding": "OURS", "severity": "note"}}
    lists = [{"preset": "dbl", "zone": "dbl.test"}, {"zone": "dbl.test", "codes": other}]
    judging = engine(lists=lists)
    for _ in range(2):
        assert await names(judging, "http://evil.example/") == (["DBL_PHISH", "OURS"], "")


async def test_the_limit_of_names_counts_those_that_are_kept():
    dns = CountingDns()
    judging = engine(dns, max_lookups=2)
    text = "http://a.example http://b.example http://c.example"
    for _ in range(2):
        assert await names(judging, text) == ([], "it has more names to ask lists about than 2")
    assert len(dns.asked) == 2


async def test_who_warns_of_a_link_does_nothing_for_who_sends_it():
    judging = engine()
    (_, warned), _ = await told(judging, mail_of(letter("hxxp://evil[.]example/")))
    assert (warned.name, warned.severity) == ("DBL_PHISH", Severity.SUSPICIOUS)
    (sent,), _ = await told(judging, mail_of(letter("http://evil.example/")))
    assert (sent.name, sent.severity) == ("DBL_PHISH", Severity.MALICIOUS)


async def test_what_is_a_tenant_s_own_is_told_to_no_other():
    judging = engine(protected_domains=["bank.example"])
    ours, theirs = Profile(domains=("contoso.com",)), Profile(domains=("c0ntoso.com", "b4nk.example"))
    text = "http://c0ntoso.com/ http://b4nk.example/"
    for _ in range(2):
        (found,), _ = await told(judging, mail_of(letter(text), profile=ours))
        assert found.detail == "c0ntoso.com (is like contoso.com) and 1 more"
        assert await told(judging, mail_of(letter(text), profile=theirs)) == ([], "")
        (found,), _ = await told(judging, mail_of(letter(text), profile=Profile()))
        assert found.detail == "b4nk.example (is like bank.example)"


async def test_own_lists_count_from_when_they_change(tmp_path):
    block, allow = tmp_path / "block", tmp_path / "allow"
    block.write_text("")
    allow.write_text("")
    judging = engine(block=block, allow=allow)
    assert await names(judging, "http://evil.example/") == (["DBL_PHISH"], "")
    block.write_text("evil.example\n")
    judging.tools.clock.now += 5
    assert await names(judging, "http://evil.example/") == (["DBL_PHISH", "LINK_BLOCKED"], "")
    allow.write_text("evil.example\n")
    judging.tools.clock.now += 5
    assert await names(judging, "http://evil.example/") == ([], "")


async def test_no_flood_of_names_makes_it_grow():
    judging = engine(remembered=100, protected_domains=["bank.example"])
    kept, compared = judging._look_ups._answers, judging._protected._kept
    strangers = random.Random(1)
    for _ in range(60):
        hosts = [f"{strangers.randbytes(8).hex()}.{'x' * 60}.{'y' * 60}.example" for _ in range(190)]
        await names(judging, " ".join(f"http://{host}/" for host in hosts))
    assert len(kept) == 100
    assert len(compared) <= 10_000
    assert max(kept._size, compared._size) < 16_000_000
    assert await names(judging, "http://evil.example/") == (["DBL_PHISH"], "")


def image(text):
    """A picture with a QR code."""
    program = need("qrencode")
    return subprocess.run([program, "-o", "-", text], capture_output=True, check=True).stdout


def pdf(*urls):
    writer = pypdf.PdfWriter()
    writer.add_blank_page(200, 200)
    for url in urls:
        writer.add_annotation(0, PdfLink(rect=(0, 0, 9, 9), url=url))
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


@pytest.fixture
async def opening():
    """An engine that looks into files, and what its workers were asked to do."""
    judging, runs = engine(images=True, pdf=True, remembered_files=3), []
    run = judging._files._workers.run

    async def counted(*arguments, **options):
        runs.append(arguments[0])
        return await run(*arguments, **options)

    judging._files._workers.run = counted
    yield judging, runs
    await judging.close()


async def judge_file(judging, data, name="a"):
    return await told(judging, mail_of(letter(attachments=[(name, data)])))


@pytest.mark.parametrize("make", [image, pdf])
async def test_a_file_of_a_campaign_is_looked_into_once(opening, make):
    judging, runs = opening
    data = make("http://evil.example/")
    first = await judge_file(judging, data)
    assert "DBL_PHISH" in [finding.name for finding in first[0]]
    assert await judge_file(judging, data, "another name") == first
    assert len(runs) == 1
    judging.tools.clock.now += 3_601
    assert await judge_file(judging, data) == first
    assert len(runs) == 2
    other, _ = await judge_file(judging, make("http://fine.example/"))
    assert "DBL_PHISH" not in [finding.name for finding in other]


async def test_a_file_that_cannot_be_read_stays_so_for_five_minutes(opening):
    judging, runs = opening
    for times, later in ((1, 0), (1, 200), (2, 101)):
        judging.tools.clock.now += later
        assert await judge_file(judging, b"%PDF-1.7 rubbish") == ([], "a PDF file cannot be read")
        assert len(runs) == times


async def test_no_flood_of_files_makes_it_grow(opening):
    judging, runs = opening
    for number in range(6):
        await judge_file(judging, pdf(*[f"http://h{number}.example/{'x' * 8_000}"] * 3))
    kept = judging._files._kept
    assert (len(runs), len(kept)) == (6, 3)
    assert kept._size == sum(entry.size for entry in kept._entries.values()) > 3 * 3 * 8_000


async def test_files_are_looked_into_by_the_options_of_the_engine_that_asks():
    code = Image.open(io.BytesIO(image("http://evil.example/"))).convert("RGBA").convert("RGB")
    written = io.BytesIO()
    code.save(written, "PDF")
    for options, found in (({"pdf": True}, []), ({"pdf": True, "images": True}, ["DBL_PHISH", "LINK_QR"])):
        judging = engine(**options)
        try:
            findings, _ = await judge_file(judging, written.getvalue())
            assert sorted(finding.name for finding in findings) == found
        finally:
            await judging.close()
