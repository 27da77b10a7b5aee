"""Outlet: nothing that happens to the log's file reaches who logs."""

import io
import threading

from relay.observe.outlet import Outlet


class Stuck(io.StringIO):
    """A file whose reader does not read until it may."""

    def __init__(self):
        super().__init__()
        self.entered, self.free = threading.Event(), threading.Event()

    def write(self, text):
        self.entered.set()
        self.free.wait()
        return super().write(text)


class Broken(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


def test_lines_come_in_order():
    file = io.StringIO()
    outlet = Outlet(file)
    for number in range(1000):
        outlet.write(f"{number}\n")
    outlet.drain(10)
    assert file.getvalue().split() == [str(number) for number in range(1000)]
    assert outlet.lost == 0


def test_a_reader_that_is_stuck_holds_nobody_up_and_the_rest_is_counted():
    file = Stuck()
    outlet = Outlet(file, most=10)
    outlet.write("first\n")
    assert file.entered.wait(10)
    for _ in range(25):
        outlet.write("more\n")
    assert outlet.lost == 15
    file.free.set()
    outlet.drain(10)
    assert file.getvalue() == "first\n" + "more\n" * 10


def test_a_reader_that_is_gone_is_counted_and_not_told():
    outlet = Outlet(Broken())
    outlet.write("line\n")
    outlet.drain(10)
    assert outlet.lost == 1
