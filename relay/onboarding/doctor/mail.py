"""What the records tell of a tenant's mail in the last day: whether it comes, by which proof, what becomes of it."""

import datetime as dt
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Final

from relay.errors import StoreFailed
from relay.observe.metrics import NEXT_HOP_FAILURES
from relay.onboarding.doctor.clock import Clocks
from relay.onboarding.doctor.result import Result, Topic, listed
from relay.onboarding.doctor.run import apart
from relay.records import lately
from relay.records.lately import COUNTED, MOST, Fact
from relay.records.store import Store
from relay.tenants.model import Tenant
from relay.tenants.proof import OK, OLD_VALUE

DAY: Final = 86_400.0
FEW: Final = 0.01
"""Share of the messages up to which strangers that try, or hiccups of a next hop, are no more than a warning."""
KNOWN: Final = tuple(
    (re.compile(pattern), remedy)
    for pattern, remedy in (
        (r"4\.7\.[56]\d\d", "Exchange throttles us: the tenant's inbound connector must have all egress addresses"),
        (r"4\.7\.8[5-9]\d", "Exchange suspects the egress address: see its PTR record, and the inbound connector"),
        (r"5\.7\.(?:60[6-9]|6[1-3]\d|64\d)", "the egress address is banned: ask for it at https://sender.office.com"),
        (r"5\.7\.64\b|ATTR3[56]", "the tenant's inbound connector does not match: run its script again"),
        (r"5\.4\.(?:6|14)\b|ATTR34", "a loop: the tenant's rule must except the egress addresses, run its script"),
        (r"5\.7\.128", "the tenant's rules redirect a message twice: run its script again, and see its other rules"),
        (r"5\.7\.509", "the sender's DMARC fails behind us: let the tenant trust our ARC seal (Set-ArcConfig)"),
        (r"5\.7\.506", "Exchange does not like our EHLO: node.name must resolve to the egress address"),
        (r"5\.7\.(?:513|703|705|708|750)", "the tenant blocks us, or its limits are reached: see its Exchange reports"),
        (r"5\.4\.1\b|5\.1\.1\b|5\.1\.10\b", "the recipient is not there: nothing to do, unless it should be"),
        (r"5\.6\.|5\.3\.4", "Exchange does not take such messages: see one of them with sluice scans show"),
    )
)  # fmt: skip
"""What Exchange Online's replies mean for us, by what is in them (non-delivery reports in Exchange Online)."""


async def mail(store: Store, tenant: Tenant, clocks: Clocks) -> AsyncIterator[Result]:
    """Everything that the records tell of the tenant."""
    now = time.time()
    topic, since = Topic("mail.seen", tenant.name, tenant.name), now - DAY

    def ask() -> tuple[float | None, int, list[Fact], list[Fact]]:
        questions = lately.newest, lately.troubles
        facts, troubles = (question(store, tenant.name, since) for question in questions)
        return lately.last(store, tenant.name), lately.count(store, tenant.name, since), facts, troubles

    try:
        last, count, facts, troubles = await apart(ask)
    except StoreFailed as error:
        yield topic.unknown(f"the records cannot be read: {error.detail}", "see store.reachable")
        return
    if last is not None:
        clocks.recorded(last)
    yield seen(topic, last, count, now)
    if facts:
        for result in judged(tenant, count, facts, troubles):
            yield result


def seen(topic: Topic, last: float | None, count: int, now: float) -> Result:
    """Whether mail comes. `last`: when the newest message came; `count`: how many in the last day."""
    rule = "see that the tenant's rule and connector are there: sluice tenant script, or sluice tenant guide"
    if last is None:
        return topic.warning("no mail has come yet", rule)
    told = f"the last message came {_ago(now - last)} ago"
    if not count:
        return topic.warning(f"{told}, none in the last day", rule)
    return topic.ok(f"{told}, {_many(count)} in the last day")


def _ago(seconds: float) -> str:
    return str(dt.timedelta(seconds=max(0, int(seconds))))


def _many(count: int) -> str:
    return f"{count:,}{' or more' if count >= COUNTED else ''}"


def judged(tenant: Tenant, count: int, facts: Sequence[Fact], troubles: Sequence[Fact]) -> Iterator[Result]:
    """What the newest messages of a day (`facts`, of `count`) and its troubles mean."""
    yield proved(Topic("mail.proof", tenant.name, tenant.name), facts, [fact for fact in troubles if _unproved(fact)])
    loops = sum(fact.reason.startswith("loop") for fact in troubles)
    yield looped(Topic("mail.loops", tenant.name, tenant.name), loops, count)
    yield handed(Topic("mail.hop", tenant.name, tenant.name), [fact for fact in troubles if _by_hop(fact)], count)


def _unproved(fact: Fact) -> bool:
    return fact.reason.startswith("proof")


def _by_hop(fact: Fact) -> bool:
    return fact.outcome == "rejected_by_next_hop" or fact.reason.partition(":")[0] in NEXT_HOP_FAILURES


def proved(topic: Topic, facts: Sequence[Fact], refused: Sequence[Fact]) -> Result:
    """By which proof mail comes; `facts` are the newest messages, `refused` all that were for lack of proof."""
    proofs = Counter(fact.proof for fact in facts if fact.proof)
    whole, lacking = sum(proofs.values()), {name: n for name, n in proofs.items() if name not in (OK, OLD_VALUE)}
    told = f"of the newest {len(facts):,} messages: {_counted(proofs)}"
    if refused:
        told += f"; refused in the last day for lack of proof: {_upto(len(refused))}"
    rule = "the tenant's rule must set the loop value on all that it redirects: run its script again"
    if lacking and sum(lacking.values()) == whole:
        return topic.failed(told, rule)
    if lacking or refused:
        return topic.warning(told, f"see whose they are (sluice scans list --outcome refused); if the tenant's: {rule}")
    if proofs[OLD_VALUE]:
        return topic.warning(
            told, "a rotation is not done: run the tenant's script again, so that it sets the new value"
        )
    return topic.ok(told)


def looped(topic: Topic, loops: int, count: int) -> Result:
    """Whether messages come back that were here before; `count`: all messages of the day."""
    if not loops:
        return topic.ok("no loop in the last day")
    told, remedy = f"{_upto(loops)} loops in the last day", "the tenant's rule must except our egress addresses"
    return topic.failed(told, remedy) if loops > FEW * count else topic.warning(told, remedy)


def handed(topic: Topic, failures: Sequence[Fact], count: int) -> Result:
    """What the next hop did not take; `count`: all messages of the day."""
    if not failures:
        return topic.ok("the next hop took everything in the last day")
    kinds = Counter(_kind(fact) for fact in failures).most_common()
    told = f"not taken by the next hop in the last day: {_upto(len(failures))}: {_counted(dict(kinds[:5]))}"
    remedy = "; ".join(dict.fromkeys(_remedy(kind) for kind, _ in kinds[:5]))
    return topic.failed(told, remedy) if len(failures) > FEW * count else topic.warning(told, remedy)


def _kind(fact: Fact) -> str:
    """What a failure has in common with its like: code and enhanced code of a reply, our own reason else."""
    if fact.outcome != "rejected_by_next_hop":
        return fact.reason.partition(":")[0]
    return " ".join(fact.reply.split(" ")[:2])


def _remedy(kind: str) -> str:
    if kind in NEXT_HOP_FAILURES:
        return "see hop.opens, and the log"
    return next((remedy for pattern, remedy in KNOWN if pattern.search(kind)), "see one of them with sluice scans show")


def _counted(kinds: Mapping[str, int]) -> str:
    return listed(f"{count:,} {name}" for name, count in kinds.items())


def _upto(count: int) -> str:
    return f"{count:,}{' or more' if count >= MOST else ''}"
