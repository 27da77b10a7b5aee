"""What `sluice check` looks at beyond the types of single settings: files, pairs, engines, the state folder, tenants.

Each rule takes the document and those of its tables that have no mistake of their own, and yields what it finds, so
that all mistakes are told at once. Nothing is written.
"""

import datetime as dt
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from config.load import ConfigProblems, Document, Key, Problem, explain, read_tables, read_toml
from config.settings import Arc, Delivery, Settings, Smtp
from relay import tls
from relay.errors import ConfigurationError, StoreFailed
from relay.headers.arc import read_key
from relay.onboarding.environment import environments
from relay.onboarding.notices.options import Options as NoticeOptions
from relay.onboarding.notices.options import problems as notice_problems
from relay.onboarding.tenancy import mistakes_of
from relay.records import tenants as stored_tenants
from relay.records.store import Store
from relay.tenants.model import TenantFile
from verdicts import registry

SOON = 14 * 86_400
"""Seconds: a certificate that ends sooner is worth a note."""


@dataclass(frozen=True, slots=True)
class Report:
    """What is wrong, in the order of files and lines, and what is merely worth knowing."""

    mistakes: Sequence[Problem]
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth knowing that is no mistake."""

    text: str


Finds = Iterator[Problem | Note]
Rule = Callable[[Document, Mapping[str, Any]], Finds]


def check(config: Path, tenant_files: Iterable[Path]) -> Report:
    """All mistakes of the configuration, of the files that it names, of the stored tenants, and of tenant files."""
    found = list(_config(config))
    for file in tenant_files:
        try:
            read_tenants(file)
        except ConfigProblems as error:
            found += error.problems
    mistakes = [find for find in found if isinstance(find, Problem)]
    return Report(mistakes, [find.text for find in found if isinstance(find, Note)])


def required(config: Path) -> Settings:
    """The settings to serve mail with. Raises ConfigProblems with all mistakes that would keep mail from flowing.

    An expired certificate is none of them: mail may flow with it, and readiness tells.
    """
    document = read_toml(config)
    tables, problems = read_tables(document)
    found = [find for rule in STARTING for find in rule(document, tables)]
    problems += [find for find in found if isinstance(find, Problem)]
    if problems:
        raise ConfigProblems(sorted(problems, key=lambda problem: problem.line or 0))
    return Settings(**tables)


def read_tenants(file: Path) -> TenantFile:
    """A tenant file. Raises ConfigProblems with all mistakes; no message shows a loop value."""
    document = read_toml(file)
    try:
        return TenantFile.model_validate(document.data)
    except ValidationError as error:
        raise ConfigProblems(explain(error, document, TenantFile)) from None


def _config(config: Path) -> Finds:
    try:
        document = read_toml(config)
    except ConfigProblems as error:
        yield from error.problems
        return
    tables, problems = read_tables(document)
    found = [find for rule in RULES for find in rule(document, tables)]
    problems += [find for find in found if isinstance(find, Problem)]
    yield from sorted(problems, key=lambda problem: problem.line or 0)
    yield from (find for find in found if isinstance(find, Note))


def _smtp(document: Document, tables: Mapping[str, Any]) -> Finds:
    smtp = tables.get("smtp")
    if not isinstance(smtp, Smtp):
        return
    if smtp.require_tls and smtp.certificate is None:
        yield document.problem(("smtp", "require_tls"), "is true, and there is no certificate")
    yield from _certificate(document, "smtp", smtp)
    yield from _roots(document, ("smtp", "client_certificate_roots"), smtp.client_certificate_roots)
    if smtp.client_certificate_names and smtp.certificate is None:
        yield document.problem(("smtp", "client_certificate_names"), "need TLS, and there is no certificate")


def _delivery(document: Document, tables: Mapping[str, Any]) -> Finds:
    delivery = tables.get("delivery")
    if isinstance(delivery, Delivery):
        yield from _certificate(document, "delivery", delivery)
        yield from _roots(document, ("delivery", "roots"), delivery.roots)


def _certificate(document: Document, name: str, table: Smtp | Delivery) -> Finds:
    """The certificate and its key: both or none, readable, fitting, and not expired."""
    certificate, key = table.certificate, table.private_key
    if certificate is None or key is None:
        if certificate is not None:
            yield document.problem((name, "certificate"), "is given without private_key")
        if key is not None:
            yield document.problem((name, "private_key"), "is given without certificate")
        return
    unreadable = [
        *_readable(document, (name, "certificate"), certificate),
        *_readable(document, (name, "private_key"), key),
    ]
    yield from unreadable or _pair(document, (name, "certificate"), certificate, key)


def _pair(document: Document, place: Key, certificate: Path, key: Path) -> Finds:
    try:
        tls.Certificates(certificate, key, None, ask_client=False)
    except ConfigurationError as error:
        yield from (document.problem(place, problem) for problem in error.problems)


def _expiry(document: Document, tables: Mapping[str, Any]) -> Finds:
    for name in ("smtp", "delivery"):
        table = tables.get(name)
        if table is None or table.certificate is None or table.private_key is None:
            continue
        with suppress(ConfigurationError):  # told by another rule
            expiry = tls.Certificates(table.certificate, table.private_key, None, ask_client=False).expiry()
            yield from _time_left(document, (name, "certificate"), table.certificate, expiry)


def _time_left(document: Document, place: Key, certificate: Path, expiry: float) -> Finds:
    left, day = expiry - time.time(), dt.datetime.fromtimestamp(expiry, dt.UTC).date()
    if left < 0:
        yield document.problem(place, f"expired on {day}")
    elif left < SOON:
        yield Note(f"{certificate} expires on {day}")


def _roots(document: Document, place: Key, file: Path | None) -> Finds:
    unreadable = list(_readable(document, place, file)) if file else []
    yield from unreadable
    if file and not unreadable:
        try:
            tls.client_context("verify", file, None, None)
        except ConfigurationError as error:
            yield from (document.problem(place, problem) for problem in error.problems)


def _readable(document: Document, place: Key, file: Path) -> Finds:
    try:
        file.read_bytes()
    except OSError as error:
        yield document.problem(place, f"{file} cannot be read: {error.strerror}")


def _arc(document: Document, tables: Mapping[str, Any]) -> Finds:
    arc = tables.get("arc")
    if isinstance(arc, Arc):
        place = ("arc", "private_key")
        unreadable = list(_readable(document, place, arc.private_key))
        yield from unreadable or _key(document, place, arc.private_key)


def _key(document: Document, place: Key, file: Path) -> Finds:
    try:
        read_key(file)
    except ValueError as error:
        yield document.problem(place, f"{file} {error}")


def _notices(document: Document, tables: Mapping[str, Any]) -> Finds:
    if "notices" in tables:
        for name, problem in notice_problems(NoticeOptions.of(tables["notices"], label="", lapse_days=0.0)):
            yield document.problem(("notices", name), problem)


def _engines(document: Document, tables: Mapping[str, Any]) -> Finds:
    if "engines" not in tables:
        return
    for path, message in registry.problems(tables["engines"]):
        yield document.problem(path, message)
    if not tables["engines"]:
        yield Note("no [engines.*] table: testpatterns alone runs")


def _admission(_: Document, tables: Mapping[str, Any]) -> Finds:
    admission = tables.get("admission")
    if admission is not None and not admission.microsoft and not admission.networks:
        yield Note("[admission] admits nobody: microsoft is false and networks is empty")


def _deadlines(document: Document, tables: Mapping[str, Any]) -> Finds:
    if not {"judging", "smtp"} <= tables.keys():
        return
    judging, longest = tables["judging"], tables["smtp"].reply_timeout
    if judging.deadline >= longest:
        yield document.problem(("judging", "deadline"), "must be shorter than smtp.reply_timeout")
    elif judging.deadline + judging.shadow_grace >= longest:
        yield document.problem(("judging", "shadow_grace"), "with deadline must be shorter than smtp.reply_timeout")


def _onboarding(document: Document, tables: Mapping[str, Any]) -> Finds:
    if not {"onboarding", "records"} <= tables.keys():
        return
    if tables["onboarding"].old_value_days > tables["records"].keep_days:
        text = "must not be longer than records.keep_days: the records tell when an old value was seen"
        yield document.problem(("onboarding", "old_value_days"), text)


def _state(document: Document, tables: Mapping[str, Any]) -> Finds:
    if "node" not in tables:
        return
    folder: Path = tables["node"].state
    while not os.path.lexists(folder):  # what lacks is made at the start
        folder = folder.parent
    if not folder.is_dir():
        yield document.problem(("node", "state"), f"{folder} is no folder")
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield document.problem(("node", "state"), f"{folder} is not writable")


def _tenants(document: Document, tables: Mapping[str, Any]) -> Finds:
    """The stored tenants, if there is a database yet."""
    if not {"node", "records"} <= tables.keys():
        return
    settings = Settings(node=tables["node"], records=tables["records"])
    if settings.records.url is None and not (settings.node.state / "sluice.db").exists():
        yield _NO_TENANTS
        return
    try:
        documents = stored_documents(settings)
    except StoreFailed as error:
        yield document.problem(("records", "url"), f"the tenants cannot be read: {error.detail}")
        return
    if not documents:
        yield _NO_TENANTS
    stored = Path("(stored tenants)")
    try:
        known = TenantFile.model_validate({"tenant": documents}).tenant
    except ValidationError as error:
        found = explain(error, Document(stored, {"tenant": documents}, {(): 0}), TenantFile)
        yield from (replace(problem, line=None) for problem in found)
        return
    if "environments" in tables:
        known_environments = environments(tables["environments"])
        for tenant in known:
            yield from (Problem(stored, None, "", text) for text in mistakes_of(tenant, known_environments))


def stored_documents(settings: Settings) -> list[dict[str, Any]]:
    """The tenants as they are stored. Raises StoreFailed."""
    store = Store(settings.records_url)
    try:
        return stored_tenants.load(store)[1]
    finally:
        store.close()


_NO_TENANTS = Note("no tenants are stored, all mail is put off (451): see `sluice tenant add`")
STARTING: Sequence[Rule] = (_smtp, _delivery, _arc, _notices, _engines)
RULES: Sequence[Rule] = (*STARTING, _deadlines, _onboarding, _expiry, _admission, _state, _tenants)
