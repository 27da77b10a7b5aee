import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvloop

from relay.delivery.delivery import Delivery
from relay.delivery.options import Options
from relay.dns import Resolver

DEFAULTS: dict[str, Any] = {
    "name": "mx1.relay.example",
    "tls": "off",
    "ipv6": False,
    "connections": 20,
    "max_age": 540.0,
    "max_messages": 100,
    "max_idle": 30.0,
    "hold": 15.0,
    "connect_timeout": 5.0,
    "command_timeout": 5.0,
    "final_timeout": 5.0,
    "wait_timeout": 5.0,
}


def pytest_asyncio_loop_factories():
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def deliver() -> AsyncIterator[Callable[..., Delivery]]:
    """Makes a Delivery, with options that differ from DEFAULTS; `context` is its TLS context."""
    async with AsyncExitStack() as stack:

        def make(*, context: Any = None, resolver: Any = None, **changed: Any) -> Delivery:
            options = Options(**DEFAULTS | changed)
            delivery = Delivery(options, resolver or Resolver(["127.0.0.1:9"], 1.0), lambda: context)
            stack.push_async_callback(delivery.close)
            return delivery

        yield make
