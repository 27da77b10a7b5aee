"""What comes from Microsoft's web service is a list that can be, or an error of the one kind that is caught."""

from collections.abc import Callable
from typing import TypeVar

from relay.onboarding.ranges.endpoints import Failed, read_networks, read_version
from relay.onboarding.ranges.guards import MOST, impossible

T = TypeVar("T")
NOW = 1_795_824_000.0
SEEDS = [
    b'[{"serviceArea":"Exchange","tcpPorts":"25","ips":["20.0.0.0/16","2a01:111:f400::/48"]}]',
    b'[{"serviceArea":"Exchange","tcpPorts":"20-30,443","ips":["20.0.0.0/12"]},{"serviceArea":"Common","ips":5}]',
    b'[{"serviceArea":"Exchange","tcpPorts":"25","ips":["0.0.0.0/0","::/0","127.0.0.1/32"]}]',
    b'[{"serviceArea":"Exchange","tcpPorts":"x","ips":[1,null,"20.0.0.1/16"]}]',
    b'{"instance":"Worldwide","latest":"2026110100"}',
    b'[{"instance":"Worldwide","latest":"9999123199"},{"instance":"China"}]',
    b'\xef\xbb\xbf{"instance":"Worldwide","latest":20261101}',
]


def look(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except Failed as error:
        failed = error
    assert failed.kind in ("malformed", "refused")
    assert 0 < len(str(failed)) < 400
    return None


def check(data: bytes) -> None:
    networks = look(lambda: read_networks(data))
    if networks is not None:
        assert 0 < len(networks) <= MOST
        assert len(set(networks)) == len(networks)
        assert impossible(networks) == ""
    version = look(lambda: read_version(data, "Worldwide", NOW))
    if version is not None:
        assert version.isascii()
        assert version.isdigit()
        assert len(version) == 10
