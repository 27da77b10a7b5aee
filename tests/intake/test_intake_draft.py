"""Drafts: the same bytes in memory and in the file, a budget that is never exceeded, and full disks."""

import asyncio
import errno
import os
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.intake import block as block_module
from relay.intake import draft as draft_module
from relay.intake.budget import Budget
from relay.intake.draft import Draft
from relay.intake.spool import Spool
from verdicts.fields import searchable

PIECES = st.lists(st.binary(min_size=1, max_size=3000), max_size=20)

STEPS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40_000) | st.none(), st.integers(0, 30_000)), max_size=30)
"""Which of four drafts, the SIZE that it declares when it begins, and the bytes that it gets."""


async def filled(options, pieces, *, declared=None, strict=False, budget=None):
    draft = Draft(options, budget or Budget(10_000_000, options.memory_bytes), declared)
    for piece in pieces:
        await draft.append(piece)
    await draft.finish(strict=strict)
    return draft


@given(
    pieces=PIECES,
    memory=st.sampled_from([0, 1, 1000, 20_000, 1_000_000, 100_000_000]),
    small=st.sampled_from([0, 5000, 1_000_000]),
    batch=st.sampled_from([1, 5000, 1_000_000]),
    declared=st.sampled_from([None, 5, 100_000_000]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_what_went_in_comes_out(options, pieces, memory, small, batch, declared):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draft_module, "SMALL", small)
        patch.setattr(draft_module, "BATCH", batch)
        patch.setattr(block_module, "STEP", 4096)
        budget = Budget(1_000_000_000, memory)
        draft = asyncio.run(filled(options(max_message_bytes=200_000_000), pieces, declared=declared, budget=budget))
    content = b"".join(pieces)
    if len(content) > memory:
        assert draft._spool is not None
    elif len(content) <= small:
        assert draft._spool is None
        assert draft._block is None
    elif len(content) + (declared or 0) + 4096 < memory // 2:
        assert draft._block is not None
    assert draft.size == len(content)
    assert b"".join(draft.pieces()) == content == bytes(draft.view()) == b"".join(draft.pieces())
    assert draft.view().readonly
    if content:
        assert searchable(draft.view()) is draft.view().obj  # who searches it copies nothing
    draft.close()
    draft.close()
    assert budget.used == budget.memory.used == 0


async def test_a_file_has_no_name_and_ends_with_the_draft(options, tmp_path):
    draft = await filled(options(memory_bytes=10), [b"x" * 100])
    assert os.listdir(tmp_path) == []
    file = draft._spool._file
    view = draft.view()
    draft.close()
    assert file.closed
    assert bytes(view) == b"x" * 100  # somebody who still looks is not hurt


@given(STEPS, st.integers(1, 100_000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_the_budget_is_never_exceeded_and_all_of_it_comes_back(options, steps, limit):
    async def run():
        budget, drafts = Budget(limit, 5_000), {}
        for slot, declared, size in steps:
            if slot in drafts and not size % 3:
                drafts.pop(slot).close()
            elif slot in drafts:
                await drafts[slot].append(b"x" * size)
            else:
                drafts[slot] = Draft(options(max_message_bytes=50_000), budget, declared)
            held = sum(draft._reserved for draft in drafts.values())
            assert held == budget.used <= limit
            assert all(draft.size <= draft._reserved for draft in drafts.values())
        for draft in drafts.values():
            draft.close()
        assert budget.used == 0

    asyncio.run(run())


async def test_a_draft_without_room_has_a_fault_from_its_beginning(options):
    budget = Budget(100_000, 65_536)
    draft = await filled(options(), [b"x"], declared=100_001, budget=budget)
    assert (draft.fault.reply.code, draft.fault.reason, draft.size, budget.used) == (452, "bytes_in_flight", 0, 0)


async def test_what_was_declared_too_much_is_given_back_at_the_end(options):
    budget = Budget(100_000, 65_536)
    draft = await filled(options(), [b"x"], declared=90_000, budget=budget)
    assert budget.used == 1
    draft.close()


@pytest.mark.parametrize(
    ("content", "strict", "code"),
    [(b"a\r\n", True, None), (b"a\n", True, 554), (b"a\r", True, 554), (b"a\n", False, None), (b"a\0", False, 554),
     (b"a\0\r\n", True, 554), (b"", True, None)],
)  # fmt: skip
async def test_faults_of_content(options, content, strict, code):
    draft = await filled(options(), [content], strict=strict)
    assert (draft.fault and draft.fault.reply.code) == code
    assert draft.bare == (content in {b"a\n", b"a\r"})
    draft.close()


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
async def test_a_full_disk_is_452_and_nothing_more_is_stored(options, monkeypatch, error):
    def full(*_):
        raise OSError(error, "no")

    monkeypatch.setattr(os, "writev", full)
    budget = Budget(10_000_000, 10)
    draft = await filled(options(memory_bytes=10), [b"x" * 100, b"y" * 5_000_000], budget=budget)
    assert (draft.fault.reply.code, draft.fault.reason) == (452, "disk_full")
    assert (draft.size, bytes(draft.view()), budget.used) == (0, b"", 0)


async def test_a_folder_that_is_gone_is_452(options, tmp_path):
    draft = await filled(options(memory_bytes=10, drafts=tmp_path / "gone"), [b"x" * 100])
    assert draft.fault.reason == "disk_full"


@given(st.lists(st.binary(max_size=50), max_size=30), st.integers(1, 40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_short_writes_lose_nothing(tmp_path_factory, pieces, at_most):
    real = os.writev
    spool = Spool(tmp_path_factory.getbasetemp())
    try:
        os.writev = lambda fd, buffers: real(fd, [b"".join(buffers)[:at_most]])
        spool.write([piece for piece in pieces if piece])
    finally:
        os.writev = real
    content = b"".join(pieces)
    assert b"".join(spool.pieces(len(content))) == content
    spool.close()


async def test_a_million_small_pieces_do_not_fill_the_memory(options):
    draft = await filled(options(), [b"xy"] * 30_000)
    assert len(draft._pieces) < 100
    draft.close()


@given(STEPS, st.integers(0, 100_000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_interleaved_drafts_never_hold_more_memory_than_there_is(options, steps, limit):
    async def run():
        budget, drafts = Budget(10_000_000, limit), {}
        wanted = options(max_message_bytes=500_000)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(draft_module, "SMALL", 10_000)
            patch.setattr(draft_module, "BATCH", 20_000)
            patch.setattr(block_module, "STEP", 4096)
            for slot, declared, size in steps:
                if slot in drafts and not size % 3:
                    drafts.pop(slot).close()
                elif slot in drafts:
                    await drafts[slot].append(b"x" * size)
                else:
                    drafts[slot] = Draft(wanted, budget, declared)
                held = sum(map(memory_of, drafts.values()))
                assert held <= budget.memory.used <= limit
        for draft in drafts.values():
            await draft.finish(strict=False)
            assert bytes(draft.view()) == b"x" * draft.size
            draft.close()
        assert budget.memory.used == 0

    asyncio.run(run())


def memory_of(draft):
    """Bytes of it that lie in memory."""
    return sum(map(len, draft._pieces)) + (draft._block._size if draft._block else 0)


async def test_a_large_draft_that_memory_has_no_room_for_goes_to_the_file_at_once(options):
    budget = Budget(100_000_000, 20_000_000)
    wanted = options(max_message_bytes=30_000_000)
    draft = await filled(wanted, [b"x" * 300_000], declared=16_000_000, budget=budget)
    assert draft._spool is not None
    assert budget.memory.used == 0
    draft.close()


async def test_a_draft_that_outgrows_memory_moves_to_the_file_and_gives_all_of_it_back(options):
    budget = Budget(100_000_000, 4 * block_module.STEP)
    pieces = [bytes([number]) * 100_000 for number in range(100)]
    draft = Draft(options(max_message_bytes=30_000_000), budget, None)
    for piece in pieces:
        await draft.append(piece)
        assert (draft._block is None) == (draft._spool is not None or draft.size <= draft_module.SMALL)
        assert budget.memory.used <= 3 * block_module.STEP
    await draft.finish(strict=False)
    assert draft._spool is not None
    assert budget.memory.used == 0
    assert draft.view() == b"".join(pieces)
    draft.close()


async def test_large_drafts_leave_memory_to_small_ones(options):
    budget = Budget(100_000_000, 8 * block_module.STEP)
    wanted = options(max_message_bytes=30_000_000)
    large = [await filled(wanted, [b"x" * 1_000_000], budget=budget) for _ in range(20)]
    assert budget.memory.used == 6 * block_module.STEP
    small = [await filled(wanted, [b"x" * 100_000], budget=budget) for _ in range(40)]
    assert all(draft._spool is None for draft in small)
    for draft in large + small:
        draft.close()


async def test_without_addresses_for_a_block_there_is_the_file(options, monkeypatch):
    def none(*_, **__):
        raise OSError(errno.ENOMEM, "no")

    with monkeypatch.context() as patch:
        patch.setattr("mmap.mmap", none)
        draft = await filled(options(memory_bytes=50_000_000), [b"x" * 300_000])
    assert draft._spool is not None
    draft.close()


async def test_who_still_looks_at_a_block_is_not_hurt(options):
    draft = await filled(options(memory_bytes=50_000_000), [b"x" * 300_000])
    view = draft.view()
    assert draft._block is not None
    draft.close()
    assert view == b"x" * 300_000


async def test_memory_counts_until_it_is_in_the_file(options, monkeypatch):
    """A session that ends while its draft is written gives nothing back twice."""
    budget = Budget(100_000_000, 100_000)
    draft = Draft(options(max_message_bytes=30_000_000), budget, None)
    await draft.append(b"x" * 90_000)
    writing, go_on = threading.Event(), threading.Event()

    def slow(fd, buffers):
        writing.set()
        go_on.wait(10)
        return sum(map(len, buffers))

    monkeypatch.setattr(os, "writev", slow)
    spilling = asyncio.create_task(draft.append(b"y" * 90_000))
    await asyncio.to_thread(writing.wait, 10)
    assert budget.memory.used == 90_000
    go_on.set()
    await spilling
    assert budget.memory.used == 0
    draft.close()
    assert budget.memory.used == 0
