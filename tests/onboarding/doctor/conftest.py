import pytest

from relay.onboarding.doctor.result import Result


@pytest.fixture
def gathered():
    """All results of a check."""

    async def gathered(results) -> list[Result]:
        return [result async for result in results]

    return gathered


@pytest.fixture
def states():
    """The states of results, by id."""

    def states(results):
        return {result.id: str(result.state) for result in results}

    return states
