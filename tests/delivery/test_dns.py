"""The resolver against a real name server, over a relay that counts, and drops when told to."""

import asyncio
import os
import socket
import subprocess
import threading
import time
from contextlib import asynccontextmanager, suppress

import pytest
from doubles.need import need

from relay.dns import DnsError, Resolver
from relay.dns import resolver as subject

ZONE = """
$TTL 300
@        IN SOA ns hostmaster 1 3600 600 86400 60
@        IN NS  ns
ns       IN A   127.0.0.1
one      IN A   192.0.2.1
three    IN A   192.0.2.3
three    IN A   192.0.2.4
three    IN AAAA 2001:db8::3
six      IN AAAA 2001:db8::6
alias    7 IN CNAME middle
middle   3 IN CNAME one
broken   IN CNAME nowhere
never    0 IN A 192.0.2.9
forever  900000 IN A 192.0.2.8
text     IN TXT "v=spf1 " "-all"
text     IN TXT "other"
long     IN TXT """ + " ".join(['"' + "x" * 250 + '"'] * 12)


def free_port():
    """One that is free for UDP and for TCP: long answers come by TCP."""
    while True:
        with socket.socket(type=socket.SOCK_DGRAM) as datagrams, socket.socket() as stream, suppress(OSError):
            datagrams.bind(("127.0.0.1", 0))
            stream.bind(datagrams.getsockname())
            return stream.getsockname()[1]


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """The port of Debian's bind9, serving acme.example and refusing all else."""
    program = need("named")
    folder, port = tmp_path_factory.mktemp("named"), free_port()
    folder.joinpath("zone").write_text(ZONE + "\n")
    folder.joinpath("named.conf").write_text(
        f'options {{ directory "{folder}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};'
        f" pid-file none; session-keyfile none; recursion no; dnssec-validation no; rrset-order {{ order fixed; }}; }};"
        ' controls { }; zone "acme.example" { type primary; file "zone"; };'
    )
    command = [program, "-g", "-n", "1", "-c", str(folder / "named.conf")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        told = []
        for line in process.stderr:
            told.append(line)
            if line.rstrip().endswith(" running"):
                break
        else:
            pytest.fail("".join(told))
        drain = threading.Thread(target=process.stderr.read)
        drain.start()
        yield port
        process.kill()
        drain.join()


class UdpRelay(asyncio.DatagramProtocol):
    """Passes datagrams on to the name server; counts the questions; says nothing while `silent`."""

    def __init__(self, port):
        self.behind, self.questions, self.silent = ("127.0.0.1", port), 0, False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.questions += 1
        if not self.silent:
            self.socket.sendto(data, self.behind)
            self.transport.sendto(self.socket.recv(65535), addr)


@asynccontextmanager
async def relayed(port):
    relay = UdpRelay(port)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: relay, ("127.0.0.1", 0))
    relay.server = "127.0.0.1:{}".format(transport.get_extra_info("sockname")[1])
    try:
        yield relay
    finally:
        transport.close()
        relay.socket.close()


@pytest.mark.parametrize(
    ("name", "four", "all_"),
    [
        ("one.acme.example", {"192.0.2.1"}, {"192.0.2.1"}),
        ("ONE.Acme.example.", {"192.0.2.1"}, {"192.0.2.1"}),
        ("three.acme.example", {"192.0.2.3", "192.0.2.4"}, {"192.0.2.3", "192.0.2.4", "2001:db8::3"}),
        ("six.acme.example", set(), {"2001:db8::6"}),
        ("alias.acme.example", {"192.0.2.1"}, {"192.0.2.1"}),
        ("broken.acme.example", set(), set()),
        ("nobody.acme.example", set(), set()),
        ("text.acme.example", set(), set()),
        ("x" * 64 + ".acme.example", set(), set()),
        ("a..acme.example", set(), set()),
        ("127.0.0.1", {"127.0.0.1"}, {"127.0.0.1"}),
        ("[2001:db8::1]", {"2001:db8::1"}, {"2001:db8::1"}),
        ("localhost", {"127.0.0.1"}, {"127.0.0.1", "::1"}),
    ],
)
async def test_addresses(named, name, four, all_):
    resolver = Resolver([f"127.0.0.1:{named}"], 2.0)
    assert set(await resolver.addresses(name, False)) == four
    found = await resolver.addresses(name)
    assert set(found) == all_
    assert sorted(found, key=lambda address: ":" in address) == list(found)


async def test_txt(named):
    resolver = Resolver([f"127.0.0.1:{named}"], 2.0)
    assert set(await resolver.txt("text.acme.example")) == {"v=spf1 -all", "other"}
    assert await resolver.txt("nobody.acme.example") == ()
    assert await resolver.txt("long.acme.example") == ("x" * 3000,)


async def test_ipv6_is_not_asked_for_unless_wanted(named):
    async with relayed(named) as relay:
        await Resolver([relay.server], 2.0).addresses("one.acme.example", ipv6=False)
        assert relay.questions == 1


async def test_answers_are_kept_for_their_ttl(named, monkeypatch):
    async with relayed(named) as relay:
        resolver = Resolver([relay.server], 2.0)
        for name, ttl in {"alias": 3, "one": 300, "nobody": 30, "text": 30, "forever": 3600}.items():
            before = relay.questions
            for _ in range(3):
                await resolver.addresses(f"{name}.acme.example", ipv6=False)
            assert relay.questions == before + 1
            expires = [kept[1] for key, kept in resolver._kept.items() if key[0].labels[0] == name.encode()]
            assert ttl - 1 < expires[0] - time.monotonic() <= ttl
        for key, (records, _) in resolver._kept.items():
            resolver._kept[key] = (records, time.monotonic())
        await resolver.addresses("one.acme.example", ipv6=False)
        assert relay.questions == before + 2


async def test_ttl_0_is_not_kept(named):
    async with relayed(named) as relay:
        resolver = Resolver([relay.server], 2.0)
        for _ in range(2):
            assert await resolver.addresses("never.acme.example", ipv6=False) == ("192.0.2.9",)
        assert relay.questions == 2


async def test_only_so_many_answers_are_kept(named, monkeypatch):
    monkeypatch.setattr(subject, "MAX_ENTRIES", 2)
    async with relayed(named) as relay:
        resolver = Resolver([relay.server], 2.0)
        for name in ("one", "three", "one", "six", "one"):  # "three" was used least recently when "six" came
            await resolver.addresses(f"{name}.acme.example", ipv6=False)
        assert (relay.questions, len(resolver._kept)) == (3, 2)


async def test_look_ups_at_the_same_time_are_one(named):
    async with relayed(named) as relay:
        resolver = Resolver([relay.server], 2.0)
        tasks = [asyncio.create_task(resolver.addresses("one.acme.example", ipv6=False)) for _ in range(50)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
        assert answers[1:] == [("192.0.2.1",)] * 49
        assert relay.questions == 1
        assert resolver._running == {}


async def test_a_refusal_is_no_answer(named):
    resolver = Resolver([f"127.0.0.1:{named}"], 2.0)
    with pytest.raises(DnsError):
        await resolver.addresses("mx.elsewhere.example")
    with pytest.raises(OSError):
        await resolver.txt("mx.elsewhere.example")


async def test_silence_is_no_answer_and_not_kept(named):
    async with relayed(named) as relay:
        relay.silent = True
        resolver = Resolver([relay.server], 0.2)
        with pytest.raises(DnsError):
            await resolver.addresses("one.acme.example")
        relay.silent = False
        assert await resolver.addresses("one.acme.example") == ("192.0.2.1",)


async def test_a_second_server_helps(named):
    async with relayed(named) as silent:
        silent.silent = True
        resolver = Resolver([silent.server, f"127.0.0.1:{named}"], 1.0)
        assert await resolver.addresses("one.acme.example") == ("192.0.2.1",)
        assert silent.questions


async def test_without_any_server_addresses_still_work(monkeypatch):
    def nothing(*_args, **_kwargs):
        raise subject.dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(subject.dns.resolver.BaseResolver, "read_resolv_conf", nothing)
    resolver = Resolver([], 0.5)
    assert await resolver.addresses("192.0.2.7") == ("192.0.2.7",)
    with pytest.raises(DnsError):
        await resolver.addresses("one.acme.example")


def test_it_is_what_engines_look_things_up_with():
    from verdicts.contract import Dns

    engine_dns: Dns = Resolver(["[::1]:53"], 1.0)
    assert engine_dns._resolver.nameservers[0].address == "::1"


async def test_only_so_many_questions_are_asked_at_a_time(named, monkeypatch):
    """Each takes a socket; who waits for too long has no answer."""
    monkeypatch.setattr(subject, "AT_ONCE", 3)
    resolver, now, most = Resolver([f"127.0.0.1:{named}"], 5.0), 0, 0
    resolve = resolver._resolve

    async def counted(*key):
        nonlocal now, most
        now += 1
        most = max(most, now)
        try:
            await asyncio.sleep(0)  # an answer may be there before anybody waits for it
            return await resolve(*key)
        finally:
            now -= 1

    monkeypatch.setattr(resolver, "_resolve", counted)
    assert await asyncio.gather(*(resolver.txt(f"n{number}.acme.example") for number in range(20))) == [()] * 20
    assert most == 3


async def test_waiting_for_a_turn_counts(named, monkeypatch):
    monkeypatch.setattr(subject, "AT_ONCE", 1)
    async with relayed(named) as silent:
        silent.silent = True
        resolver = Resolver([silent.server], 0.2)
        asked = (resolver.txt(f"n{number}.acme.example") for number in range(20))
        async with asyncio.timeout(2):  # and not 20 times 0.2 seconds
            answers = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(answer, DnsError) for answer in answers)


async def test_who_gives_up_loses_no_socket(named, monkeypatch):
    """Those who wait for a turn get it just when their time is over, and are sent away as their socket is made."""
    monkeypatch.setattr(subject, "AT_ONCE", 1)
    async with relayed(named) as silent:
        silent.silent = True
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(30):
            resolver = Resolver([silent.server], 0.02)
            asked = (resolver.txt(f"n{number}.acme.example") for number in range(20))
            await asyncio.gather(*asked, return_exceptions=True)
        assert len(os.listdir("/proc/self/fd")) <= before


async def test_nobody_listening_is_no_answer_and_a_second_server_is_asked_at_once(named):
    begun = time.monotonic()
    assert await Resolver(["127.0.0.1:9", f"127.0.0.1:{named}"], 5.0).addresses("one.acme.example") == ("192.0.2.1",)
    assert time.monotonic() - begun < 2
    with pytest.raises(DnsError, match="no answer in time"):
        await Resolver(["127.0.0.1:9"], 0.3).addresses("one.acme.example")
