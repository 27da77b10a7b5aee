"""SEAL: what we found out about the sender, signed, so that the tenant may believe us (RFC 8617). Only where chosen.

Only what proved to come through the tenant's rule is to be sealed: SPF is judged by the address that Microsoft tells,
which in other mail anybody may have written.

The seal covers the message as it leaves: it comes last of what is put before it. Whatever goes wrong here, the message
goes on unsealed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import structlog

from relay.dressing import Dressed
from relay.headers import authres
from relay.headers.arc import MESSAGE_SIGNATURE, RESULTS, SEAL, BrokenChain, Signer, seal
from relay.observe import metrics
from verdicts.contract import Tools
from verdicts.fields import too_many_fields
from verdicts.identity.canonical import body_hash
from verdicts.mail import Mail

if TYPE_CHECKING:  # it needs what is installed with the extra "engines" only
    from verdicts.identity.authentication import Authentication

log = structlog.get_logger("sealing")

MAX_HEADER_BYTES = 131_072
"""A longer header section is not sealed, as that is done in one step."""
_RESULTS = {result: metrics.SEALS.labels(result) for result in metrics.SEAL_RESULTS}


class Sealer:
    """Seals as `signer`; `authserv_id` is our name in what `authenticate` finds out, all in `deadline` seconds."""

    def __init__(
        self,
        signer: Signer,
        authserv_id: str,
        authenticate: "Callable[[Mail, Tools], Awaitable[Authentication]]",
        tools: Tools,
        deadline: float,
    ) -> None:
        self._signer, self._authserv_id, self._tools, self._deadline = signer, authserv_id, tools, deadline
        self._authenticate = authenticate

    async def seal(self, mail: Mail, dressed: Dressed, mail_id: str) -> None:
        """Put our ARC set on top of `dressed`, and Authentication-Results below it; over a broken chain only that."""
        result, reason = "failed", ""
        try:
            async with asyncio.timeout(self._deadline):
                result, reason = await self._seal(mail, dressed)
        except TimeoutError:
            reason = "late"
        except Exception as error:  # noqa: BLE001 - a seal is worth less than the message
            reason = repr(error)
        _RESULTS[result].inc()
        if reason:
            tell = log.warning if result == "failed" else log.info
            tell("not sealed", id=mail_id, reason=reason[:200])

    async def _seal(self, mail: Mail, dressed: Dressed) -> tuple[str, str]:
        fields = mail.fields
        if fields.end - fields.start > MAX_HEADER_BYTES or too_many_fields(fields):
            return "failed", "the header section is too large"
        found = await self._authenticate(mail, self._tools)
        results = authres.payload(self._authserv_id, found)
        ours, result, reason = [authres.field(results)], "sealed", ""
        try:
            ours = await self._set(mail, dressed, found, results) + ours
        except BrokenChain as broken:
            result, reason = "broken_chain", str(broken)
        dressed.put_before(ours)
        return result, reason

    async def _set(self, mail: Mail, dressed: Dressed, found: "Authentication", results: str) -> list[bytes]:
        """Our ARC set. Raises BrokenChain."""
        if found.arc.result not in ("none", "pass"):
            raise BrokenChain(found.arc.reason or found.arc.result)
        sets = found.arc.sets
        if not sets and any(mail.fields.first(name) for name in (RESULTS, MESSAGE_SIGNATURE, SEAL)):
            raise BrokenChain("there are sets that nobody has looked at")
        digest = await body_hash(mail.content, "relaxed")
        return await seal(self._signer, dressed.header(), digest, results, sets, self._tools.clock.time())
