"""What the tests of script, guide and rules have in common: a tenant, its plans, and a run of its script."""

from doubles.exchange import Exchange
from doubles.powershell import Machine, parse

from relay.onboarding.environment import Environment
from relay.onboarding.exchange import script, steps
from relay.onboarding.exchange.plan import Variant
from relay.tenants.model import Tenant

OLD = "k7Jq2mV9xT4bR8nL5wZ3cY6hAb12Cd34"
NEW = "Zx81mN5pQ7sV2bK9tR4wL6yH3cF0dG8j"
EU = Environment(
    name="eu",
    egress=("99.81.216.78", "34.249.190.60"),
    secondary_egress=("52.12.169.124",),
    smart_host="in.sluice.example",
    smart_host_multi_region="all.sluice.example",
    validation_address="check@sluice.example",
    ptr_domain="mx.sluice.example",
    region="west",
    secondary_region="east",
)


def tenant(**values):
    domain = {"name": "acme.example", "next_hop": "acme-example.mail.protection.outlook.com"}
    return Tenant.model_validate(
        {"name": "acme", "environment": "eu", "loop_values": [OLD], "domain": [domain]} | values
    )


def plan(variant=Variant.HARDENED, *, environment=EU, domains=("acme.example",), sealer="sluice.example", **values):
    return steps.plan(tenant(**values), environment, domains, sealer, variant)


def written(**values):
    """The text of the script."""
    return script.script(plan(Variant.HARDENED, **values), plan(Variant.ARTICLE, **values))


def run(exchange, root=None, *, installed=True, script_of=None, **switches):
    """Run a script against an organisation."""
    root = root or parse(written(**(script_of or {})))
    return Machine(root, exchange, now=exchange.now, installed=installed).run(**switches)


def results(ran):
    """What became of each step, by title."""
    return {one.get("Step"): one.get("Result") for one in ran.output}


def details(ran, result):
    """What is told of the steps of which that became."""
    return [one.get("Detail") for one in ran.output if one.get("Result") == result]


__all__ = ["EU", "NEW", "OLD", "Exchange", "details", "parse", "plan", "results", "run", "tenant", "written"]
