"""rspamd over HTTP: `POST /checkv2` with the whole message (rspamd.com, "Protocol description").

rspamd's actions say how sure it is. Viruses are the antivirus engines' matter, so its "reject" is spam unless `reject`
says otherwise. Its symbols become notes whose weight is the symbol's score: a tenant can set thresholds on their sum.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, SecretStr

from verdicts.contract import Engine, EngineOptions, Finding, HttpReply, Severity, Tools, Unscanned
from verdicts.mail import Content, Mail

_REPLY_BYTES = 1_000_000
_HEADER_CHARACTERS = 1_000
_RECIPIENTS = 200  # rspamd's HTTP parser takes some 80 KB of header fields in all
_DETAIL_CHARACTERS = 200


def _http_url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    return value.rstrip("/")


class _Body:
    """A message that can be sent more than once."""

    def __init__(self, content: Content) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        return self._content.pieces()


class Rspamd(Engine):
    """Asks an rspamd."""

    class Options(EngineOptions):
        """[engines.rspamd]."""

        url: Annotated[str, AfterValidator(_http_url)] = "http://127.0.0.1:11333"
        """rspamd's normal worker, or a proxy in front of several."""
        password: SecretStr | None = None
        """Sent as the Password field, where the worker wants one."""
        reject: Literal["spam", "malicious"] = "spam"
        """What rspamd's action "reject" means."""

    def __init__(self, options: Options, tools: Tools) -> None:
        super().__init__(options, tools)
        self._url = f"{options.url}/checkv2"
        self._secret = [("Password", options.password.get_secret_value())] if options.password else []
        reject = Severity.MALICIOUS if options.reject == "malicious" else Severity.SPAM
        self._severities = {
            "no action": None,
            "greylist": Severity.NOTE,  # it asks for a delay, which Exchange Online would punish
            "soft reject": Severity.NOTE,
            "add header": Severity.SPAM,
            "rewrite subject": Severity.SPAM,
            "quarantine": reject,
            "discard": reject,
            "reject": reject,
        }

    async def judge(self, mail: Mail) -> Iterable[Finding]:
        """Raises OSError when rspamd does not answer, ValueError when its answer makes no sense."""
        reply = await self.tools.http.post(
            self._url, headers=[*_facts(mail), *self._secret], body=_Body(mail.content), limit=_REPLY_BYTES
        )
        answer = _answer(reply)
        findings = [*self._action(answer), *_symbols(answer.get("symbols", {}))]
        # On a test pattern, or by a rule's early decision, rspamd skips the rest; then its action says why.
        if answer.get("is_skipped") and answer["action"] == "no action":
            raise Unscanned("rspamd skipped the message", findings)
        return findings

    def _action(self, answer: dict[str, Any]) -> list[Finding]:
        action = answer.get("action")
        if action not in self._severities:
            raise ValueError(f"rspamd answered with the unknown action {action!r}")
        severity = self._severities[action]
        if severity is None:
            return []
        detail = f"rspamd says {action}, score {_number(answer.get('score')):g}"
        return [Finding(f"RSPAMD_{action.upper().replace(' ', '_')}", severity, detail=detail)]


def _facts(mail: Mail) -> Iterator[tuple[str, str]]:
    """What rspamd wants to know: the original sender's address and HELO, not those of Microsoft, our TCP peer."""
    origin = mail.origin
    yield "Content-Length", str(mail.content.size)
    yield "Queue-Id", _clean(mail.session.id)
    yield "From", _clean(mail.envelope.sender) or "<>"
    for recipient in mail.envelope.recipients[:_RECIPIENTS]:
        yield "Rcpt", _clean(recipient.address)
    for name, value in (("IP", origin.address), ("Helo", origin.helo), ("Hostname", origin.ptr)):
        if value:
            yield name, _clean(value)


def _clean(value: str) -> str:
    """What may stand in an HTTP field: all of these are, or may be, a stranger's words."""
    return "".join(filter(str.isprintable, value))[:_HEADER_CHARACTERS]


def _answer(reply: HttpReply) -> dict[str, Any]:
    if reply.status == 413:
        raise Unscanned("the message is larger than rspamd takes")
    if reply.status != 200:
        raise OSError(f"rspamd answered with HTTP status {reply.status}")
    try:
        answer = json.loads(reply.body)
    except (ValueError, RecursionError) as error:
        raise ValueError("rspamd answered with what is not JSON") from error
    if not isinstance(answer, dict):
        raise TypeError("rspamd answered with what is not a JSON object")
    return answer


def _symbols(symbols: Any) -> Iterator[Finding]:
    if not isinstance(symbols, dict):
        raise TypeError("rspamd's symbols are not a JSON object")
    for name, symbol in symbols.items():
        if not isinstance(symbol, dict):
            raise TypeError(f"rspamd's symbol {name} is not a JSON object")
        options = symbol.get("options", [])
        detail = ", ".join(map(str, options)) if isinstance(options, list) else ""
        yield Finding(name, weight=_number(symbol.get("score")), detail=detail[:_DETAIL_CHARACTERS])


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("rspamd's score is not a number")
    return float(value)
