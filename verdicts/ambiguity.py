"""The panel's own word on mail that readers take in different ways, so that no engine needs to look for that.

What an engine saw in such mail may not be what the recipient will see.
"""

import asyncio
from typing import Literal

from verdicts.contract import Finding, Outcome, Severity, Verdict
from verdicts.mail import Mail

STRUCTURE = "structure"
"""What stands in such a verdict where others have the name of an engine."""
Ambiguous = Literal["ignore", "note", "suspicious", "spam", "malicious", "unscanned"]
"""What an ambiguous structure is held for."""
_SEVERITIES = {severity.name.lower(): severity for severity in Severity}


def is_plain(mail: Mail) -> bool:
    """Whether an engine has read the structure, and it can be read in one way only: most mail, at no cost."""
    return mail.structure_is_read and not mail.structure.ambiguous


async def look(mail: Mail, held_for: Ambiguous, until: float) -> Verdict | None:
    """The verdict on the structure; None when it can be read in one way only. `until`: in the loop's time."""
    try:
        async with asyncio.timeout_at(until):
            structure = await mail.read_structure()
    except TimeoutError:
        return Verdict(STRUCTURE, Outcome.LATE, reason="it takes too long to read")
    except Exception as error:  # noqa: BLE001 - whatever it is, the structure is not known
        return Verdict(STRUCTURE, Outcome.FAILED, reason=type(error).__name__)
    if not structure.ambiguous:
        return None
    detail = ", ".join(structure.defects)
    finding = Finding("AMBIGUOUS_MIME", _SEVERITIES.get(held_for, Severity.NOTE), detail=detail)
    if held_for != "unscanned":
        return Verdict(STRUCTURE, Outcome.ANSWERED, (finding,))
    return Verdict(STRUCTURE, Outcome.UNSCANNED, (finding,), reason=f"can be read in different ways: {detail}")
