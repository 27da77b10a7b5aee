"""Everything an operator may do. The CLI only translates, and so does whatever comes after it.

All functions block, read the configuration anew and give back plain data: what JSON can say, times as ISO 8601 in UTC,
and no loop value but where a function says so.
"""

from relay.control.common import NotFound, Plain, Unusable
from relay.control.diagnosis import doctor
from relay.control.domains import domain_add, domain_find_smtp, domain_set, domain_verify, host_judge
from relay.control.exchange import Handout, tenant_guide, tenant_script
from relay.control.house import check, engine_new
from relay.control.mail import (
    Release,
    judge,
    quarantine_delete,
    quarantine_list,
    quarantine_message,
    quarantine_release,
    quarantine_show,
    scan_show,
    scans_list,
)
from relay.control.notices import tenant_notice_test, tenant_notices
from relay.control.ranges import ranges_show, ranges_update
from relay.control.tenants import (
    Changes,
    domain_list,
    domain_remove,
    tenant_add,
    tenant_apply,
    tenant_list,
    tenant_remove,
    tenant_rotate,
    tenant_rotate_end,
    tenant_set,
    tenant_show,
)

__all__ = [
    "Changes",
    "Handout",
    "NotFound",
    "Plain",
    "Release",
    "Unusable",
    "check",
    "doctor",
    "domain_add",
    "domain_find_smtp",
    "domain_list",
    "domain_remove",
    "domain_set",
    "domain_verify",
    "engine_new",
    "host_judge",
    "judge",
    "quarantine_delete",
    "quarantine_list",
    "quarantine_message",
    "quarantine_release",
    "quarantine_show",
    "ranges_show",
    "ranges_update",
    "scan_show",
    "scans_list",
    "tenant_add",
    "tenant_apply",
    "tenant_guide",
    "tenant_list",
    "tenant_notice_test",
    "tenant_notices",
    "tenant_remove",
    "tenant_rotate",
    "tenant_rotate_end",
    "tenant_script",
    "tenant_set",
    "tenant_show",
]
