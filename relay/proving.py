"""PROVE: that the header can be read in one way, that it came through the tenant's rule, and not through us before."""

from relay import replies
from relay.errors import Refused
from relay.headers.strict import header_is_strict
from relay.intake.draft import Draft
from relay.observe import metrics
from relay.tenants.loops import too_many_hops
from relay.tenants.model import Tenant
from relay.tenants.proof import Proof
from relay.tenants.proof import prove as prove_tenant
from relay.transaction import Transaction
from verdicts.fields import header_longer_than, too_many_fields
from verdicts.mail import Mail


def look_at_header(draft: Draft, limit: int) -> None:
    """Raises Refused for a header that we would not look at, or that others could read in another way than we do."""
    view = draft.view()
    if header_longer_than(limit, view):
        raise Refused(replies.HEADER_TOO_BIG, "header_too_big")
    if draft.bare and not header_is_strict(bytes(view[:limit])):
        raise Refused(replies.MALFORMED, "malformed")


def prove(now: Transaction, mail: Mail, tenant: Tenant) -> Proof:
    """What it proves to be the tenant's. Raises Refused for a loop, and where a required proof lacks."""
    fields = mail.fields
    if too_many_fields(fields):
        raise Refused(replies.HEADER_TOO_BIG, "header_too_big")
    now.account.seen(mail)
    if too_many_hops(fields) or now.rooms.tracer.loops(fields, tenant.name, now.recipients):
        metrics.LOOPS.inc()
        raise Refused(replies.LOOP, "loop")
    proof = prove_tenant(fields, tenant)
    now.account.proof = proof.told
    if not proof.ok:
        metrics.PROOF_FAILURES.labels(tenant.proof).inc()
        if tenant.proof == "require":
            raise Refused(replies.NO_PROOF, "proof", proof.told)
    return proof
