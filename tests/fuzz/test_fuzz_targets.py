"""Each fuzz target with its seeds, with every crasher that was found, and with a few inputs of hypothesis."""

import importlib

import pytest
from fuzz.runner import TARGETS, inputs
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_crashers(name: str) -> None:
    check = importlib.import_module(f"fuzz.targets.{name}").check
    for data in inputs(name):
        check(data)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_inputs_near_the_seeds(name: str, data: st.DataObject) -> None:
    target = importlib.import_module(f"fuzz.targets.{name}")
    seed = data.draw(st.sampled_from(target.SEEDS))
    at = data.draw(st.integers(0, len(seed)))
    target.check(seed[:at] + data.draw(st.binary(max_size=12)) + seed[at + data.draw(st.integers(0, 12)) :])
