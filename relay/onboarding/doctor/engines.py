"""Whether an engine answers: it is asked about a harmless letter, by the panel, with its own deadline.

Scope, breaker and handling are left aside: what is asked is whether the engine can judge at all. Each has a thread, an
event loop and tools of its own, so that one which blocks holds up no other check.
"""

from collections.abc import AsyncIterator, Callable

from relay.onboarding.doctor.result import Result, Topic, listed
from relay.onboarding.doctor.run import apart_loop
from relay.tools import Toolbox
from verdicts.contract import Dns, EngineOptions, Outcome, Severity, Tools, Verdict
from verdicts.letters import letter, mail_of
from verdicts.panel import Panel, Rules, Seat

LETTER = letter("Are you there?\r\n", subject="A question of sluice doctor", sender="Doctor <doctor@sluice.invalid>")
"""What every engine should find clean, or at least say something of."""
_RULES = Rules(ambiguous="ignore")

Build = Callable[[Tools], Seat]


async def engine(name: str, build: Build, resolver: Callable[[], Dns], deadline: float) -> AsyncIterator[Result]:
    """Whether the engine called `name` answers. `deadline`: seconds for all engines of a message."""
    topic = Topic("engine.answers", name)
    try:
        verdict, options = await apart_loop(lambda: _asked(build, resolver(), deadline))
    except Exception as error:  # noqa: BLE001 - an engine's own constructor may raise anything
        told = str(error).splitlines() or [""]
        yield topic.failed(f"{type(error).__name__}: {told[0]}", "correct [engines]; sluice check tells more")
        return
    yield judged(topic, verdict, options)


async def _asked(build: Build, dns: Dns, deadline: float) -> tuple[Verdict, EngineOptions]:
    toolbox = Toolbox(dns)
    try:
        seat = build(toolbox.tools)
        panel = Panel([Seat(seat.name, seat.engine, seat.deadline)], deadline, toolbox.tools.clock, rules=_RULES)
        try:
            return (await panel.judge(mail_of(LETTER))).verdicts[0], seat.options
        finally:
            await panel.close()
    finally:
        await toolbox.close()


def judged(topic: Topic, verdict: Verdict, options: EngineOptions) -> Result:
    """What an engine's verdict on the letter means."""
    if verdict.outcome is Outcome.ANSWERED:
        bad = [finding.name for finding in verdict.findings if finding.severity is Severity.MALICIOUS]
        if bad:
            return topic.warning(f"it takes a harmless letter for malicious: {listed(bad)}", "look at its rules")
        return topic.ok(f"it answered within {verdict.seconds:.2f} seconds")
    told, remedy = f"{verdict.outcome}: {verdict.reason}", "see that what it asks runs, and its address in [engines]"
    silence = options.on_late if verdict.outcome is Outcome.LATE else options.on_failure
    if options.shadow:
        return topic.warning(f"{told} (it is only tried)", remedy)
    if silence == "ignore" and verdict.outcome is not Outcome.UNSCANNED:
        return topic.warning(f"{told}; mail goes on without it", remedy)
    return topic.failed(told, remedy)
