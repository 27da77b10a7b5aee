"""The clock, by what others say the time is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.onboarding.doctor import clock as subject
from relay.onboarding.doctor import ranges
from relay.onboarding.doctor.clock import Clocks, distance

NOW = 1_795_795_323.5


def told(clocks):
    return {result.id: str(result.state) for result in clocks.results(NOW)}


def test_without_a_witness_nothing_can_be_told():
    assert told(Clocks()) == {"clock.offset": "cannot tell"}


@pytest.mark.parametrize(
    ("offsets", "state"),
    [
        ([0.0], "ok"),
        ([59.0], "ok"),
        ([-59.0, 10.0], "ok"),
        ([90.0], "warning"),
        ([-90.0], "warning"),
        ([9_000.0], "warning"),
        ([9_000.0, 0.0, 0.0], "ok"),
        ([9_000.0, 8_000.0], "failed"),
        ([-9_000.0, -9_000.0, 0.0], "failed"),
    ],
)
def test_one_witness_accuses_nobody_and_the_middle_one_counts(offsets, state):
    clocks = Clocks()
    for number, offset in enumerate(offsets):
        clocks.heard(str(number), int(NOW + offset), NOW, NOW)
    assert told(clocks) == {"clock.offset": state}


def test_which_way_it_is_wrong():
    clocks = Clocks()
    clocks.heard("the database", NOW + 600, NOW - 1, NOW)
    (result,) = clocks.results(NOW)
    assert result.found == "it is 600 seconds behind by the database"


@given(st.floats(0, 1e9), st.floats(0, 100), st.floats(0, 100))
def test_who_is_right_is_never_found_wrong(begun, took, at):
    """Whatever the moment between, told in whole seconds, and however long the answer took."""
    ended = begun + took
    moment = min(begun + at, ended)
    assert distance(int(moment), begun, ended) == 0


@given(st.floats(0, 1e9), st.floats(0, 100), st.floats(-1e6, 1e6))
def test_a_distance_never_says_more_than_is_known(begun, took, off):
    said = int(begun + off)
    found = distance(said, begun, begun + took)
    assert abs(found) <= abs(off) + 2
    assert found == 0 or (found > 0) == (said > begun)


def test_nothing_said_is_nothing_heard():
    clocks = Clocks()
    clocks.heard("the database", None, NOW, NOW)
    assert told(clocks) == {"clock.offset": "cannot tell"}


def test_a_record_from_the_future():
    clocks = Clocks()
    clocks.recorded(NOW - 100)
    assert told(clocks) == {"clock.offset": "cannot tell"}
    clocks.recorded(NOW + subject.OFF + 1)
    clocks.recorded(NOW)
    assert told(clocks)["clock.records"] == "warning"


DAY = 86_400


@pytest.mark.parametrize(
    ("dated", "looked", "state"), [(39, None, "ok"), (41, None, "warning"), (400, 1, "ok"), (400, 41, "warning")]
)
def test_the_age_of_the_ranges(dated, looked, state):
    result = ranges.age("worldwide", NOW - dated * DAY, 0.0 if looked is None else NOW - looked * DAY, NOW)
    assert str(result.state) == state


def test_what_microsoft_said_last_of_the_ranges():
    assert str(ranges.asked("worldwide", 0.0, "").state) == "skipped"
    assert ranges.asked("worldwide", 1_795_824_000.0, "").found == "the last good answer is of 2026-11-28 00:00 UTC"
    never = ranges.asked("worldwide", 0.0, "asked too often")
    assert (str(never.state), never.found) == ("warning", "asked too often; there was no good answer yet")


def test_ranges_that_wait_for_a_yes():
    assert str(ranges.held("worldwide", "", "").state) == "ok"
    waits = ranges.held("worldwide", "2026110100", "4 networks would come to 6")
    assert (str(waits.state), waits.remedy) == ("warning", "sluice ranges show; then sluice ranges update --accept")
    assert waits.found == "the list of version 2026110100 is held back, as 4 networks would come to 6"
