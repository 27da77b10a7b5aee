import asyncio

import pytest
import uvloop
from doubles.need import need
from doubles.real_clamd import real_clamd
from doubles.real_rspamd import real_rspamd


@pytest.fixture(scope="session")
def rspamd(tmp_path_factory):
    need("rspamd")
    with real_rspamd(tmp_path_factory.mktemp("rspamd")) as running:
        yield running


@pytest.fixture(scope="session")
def clamd(tmp_path_factory):
    need("clamd")
    with real_clamd(tmp_path_factory.mktemp("clamd")) as running:
        yield running


def pytest_asyncio_loop_factories(item):
    """What holds sockets and processes of its own is tested under both loops."""
    both = item.path.name == "test_verdicts_workers.py"
    return {"asyncio": asyncio.new_event_loop} | ({"uvloop": uvloop.new_event_loop} if both else {})
