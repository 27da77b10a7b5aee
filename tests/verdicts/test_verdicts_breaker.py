from verdicts.breaker import Breaker


def breaker(told=None):
    return Breaker(2, 30.0, (told if told is not None else []).append)


def fail(one, times, now=0.0):
    for _ in range(times):
        message = object()
        assert one.admits(message, now)
        one.heard(message, now, failed=True)


def test_it_opens_after_so_many_failures_in_a_row():
    told = []
    one = breaker(told)
    fail(one, 1)
    one.heard(object(), 0.0, failed=False)
    fail(one, 1)
    one.heard(object(), 0.0, failed=None)
    assert one.admits("m", 0.0)
    fail(one, 1)
    assert not one.admits("m", 29.9)
    assert told == [True]


def test_one_message_tries_it_and_closes_it():
    told = []
    one = breaker(told)
    fail(one, 2)
    assert one.admits("trial", 30.0)
    assert not one.admits("another", 30.0)
    one.heard("another", 31.0, failed=False)  # asked before it opened
    assert not one.admits("another", 31.0)
    one.heard("trial", 31.0, failed=False)
    assert one.admits("another", 31.0)
    assert told == [True, False]
    fail(one, 1)
    assert one.admits("m", 31.0)


def test_a_trial_that_fails_opens_it_again_for_as_long():
    told = []
    one = breaker(told)
    fail(one, 2)
    assert one.admits("trial", 30.0)
    one.heard("trial", 35.0, failed=True)
    assert not one.admits("m", 64.9)
    assert one.admits("m", 65.0)
    assert told == [True]


def test_a_trial_that_is_given_up_leaves_room_for_another():
    one = breaker()
    fail(one, 2)
    assert one.admits("trial", 30.0)
    one.heard("trial", 31.0, failed=None)
    assert one.admits("another", 31.0)
