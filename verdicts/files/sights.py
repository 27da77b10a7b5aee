"""Sight: one thing seen in a file, before a severity is put to it. The table of all names, and what each counts for."""

from typing import NamedTuple

from verdicts.contract import Severity


class Sight(NamedTuple):
    """`name` is one of `SEVERITIES`."""

    name: str
    detail: str = ""


SEVERITIES = {
    "BLOCKED_TYPE": Severity.MALICIOUS,  # by name or content
    "DISGUISED_TYPE": Severity.MALICIOUS,  # a blocked type under a harmless name
    "OTHER_TYPE": Severity.NOTE,  # harmless, but not what its name or declared type says
    "DOUBLE_EXTENSION": Severity.MALICIOUS,
    "REVERSED_NAME": Severity.SUSPICIOUS,
    "ODD_NAME": Severity.SUSPICIOUS,
    "ENCRYPTED": Severity.SUSPICIOUS,
    "PASSWORD_IN_MAIL": Severity.SUSPICIOUS,  # it was encrypted, and a word of the message opens it
    "LISTED_HASH": Severity.MALICIOUS,
    "MACRO": Severity.NOTE,
    "MACRO_AUTOMATIC": Severity.MALICIOUS,
    "TEMPLATE_INJECTION": Severity.SUSPICIOUS,
    "EXTERNAL_OBJECT": Severity.SUSPICIOUS,
    "DDE": Severity.SUSPICIOUS,
    "EQUATION_OBJECT": Severity.SUSPICIOUS,
    "EMBEDDED_FILE": Severity.SUSPICIOUS,  # in an Office document
    "ONENOTE_FILE": Severity.SUSPICIOUS,
    "SHORTCUT": Severity.SUSPICIOUS,
    "SCRIPT": Severity.SUSPICIOUS,
    "HTML_SMUGGLING": Severity.SUSPICIOUS,
    "HTML_SMUGGLED_FILE": Severity.MALICIOUS,
    "HTML_PASSWORD": Severity.SUSPICIOUS,
    "SVG_SCRIPT": Severity.SUSPICIOUS,
    "PDF_JAVASCRIPT": Severity.SUSPICIOUS,
    "PDF_LAUNCH": Severity.MALICIOUS,
    "PDF_OPEN_ACTION": Severity.NOTE,  # most of them turn to a page
    "PDF_EMBEDDED_FILE": Severity.NOTE,  # invoices have them (ZUGFeRD)
    "CALENDAR_LINK": Severity.NOTE,
    "CALENDAR_ATTACHMENT": Severity.NOTE,
}
