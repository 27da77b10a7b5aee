"""Evidence: verdicts as plain data, as records and commands have them, and what of them led to the decision."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from relay.policy.decide import WEIGHT_LIMIT
from verdicts.contract import Handling, Outcome, Severity, Verdict

Plain = dict[str, Any]
TEXT_LIMIT = 500
"""Characters that are kept of a text that others wrote."""
_SEVERITIES = {severity: severity.name.lower() for severity in Severity}
_SILENT = (Outcome.UNSCANNED, Outcome.FAILED, Outcome.LATE)


def plain(verdicts: Iterable[Verdict], factors: Mapping[str, float]) -> list[Plain]:
    """What is recorded of verdicts. `factors`: the tenant's for the weights of engines, by name; each stands beside."""
    told = [_plain(verdict) for verdict in verdicts]
    if factors:
        for one in told:
            one["factor"] = factors.get(one["engine"], 1.0)
    return told


def _plain(verdict: Verdict) -> Plain:
    return {
        "engine": verdict.engine,
        "outcome": str(verdict.outcome),
        "handling": str(verdict.handling),
        "reason": verdict.reason[:TEXT_LIMIT],
        "seconds": round(verdict.seconds, 6),
        "findings": [
            {
                "name": finding.name,
                "severity": _SEVERITIES[finding.severity],
                "weight": finding.weight,
                "detail": finding.detail[:TEXT_LIMIT],
            }
            for finding in verdict.findings
        ],
    }


def explanation(record: Mapping[str, Any]) -> Plain:
    """Why a message was decided on as it was, from its record: by which settings, and because of what.

    `settings` are keys of the tenant's policy, or of the engine's table where its silence defers; `because` has an
    object for each finding or silent engine that led there, with `weight` as it was added up. Both are empty for what
    was clean, or not judged. Records of older versions say less.
    """
    category, rule, verdicts = record["category"], record["rule"], list(counted(record["verdicts"]))
    if category == "unscanned":
        silent = [verdict for verdict in verdicts if verdict["outcome"] in _SILENT]
        deferring = [verdict for verdict in silent if verdict.get("handling") == Handling.DEFERS]
        settings = [_silence_of(verdict) for verdict in deferring] or ["policy.unscanned"]
        because = [_because(verdict, verdict["reason"]) for verdict in deferring or silent]
    elif rule.startswith(f"{category}: weight "):
        settings = [f"policy.{category}_weight", f"policy.{category}"]
        because = [one for one in _findings(verdicts) if one["weight"]]
    elif rule.startswith(f"{category}: severity "):
        settings = [f"policy.{category}"]
        because = [one for one in _findings(verdicts) if one["severity"] == category]
    else:
        settings, because = [], []
    if record["would"] is not None:
        settings.append("policy.observe")
    return {"tenant": record["tenant"], "settings": settings, "because": because}


def counted(verdicts: Iterable[Plain]) -> Iterator[Plain]:
    """Those of recorded verdicts that the decision heard of."""
    return (one for one in verdicts if one.get("handling", Handling.COUNTS) in (Handling.COUNTS, Handling.DEFERS))


def _silence_of(verdict: Plain) -> str:
    return f"engines.{verdict['engine']}.on_{'late' if verdict['outcome'] == Outcome.LATE else 'failure'}"


def _findings(verdicts: Iterable[Plain]) -> Iterator[Plain]:
    for verdict in verdicts:
        for finding in verdict["findings"]:
            one = _because(verdict, finding["detail"])
            yield one | {
                "finding": finding["name"],
                "severity": finding["severity"],
                "weight": weight_of(finding, verdict),
            }


def weight_of(finding: Plain, verdict: Plain) -> float:
    """The weight of a recorded finding as it was added up: with the tenant's factor, within the limit of `decide`."""
    weight: float = finding["weight"] * verdict.get("factor", 1.0)
    return max(-WEIGHT_LIMIT, min(weight, WEIGHT_LIMIT))


def _because(verdict: Plain, detail: str) -> Plain:
    return {
        "engine": verdict["engine"], "outcome": verdict["outcome"], "finding": "", "severity": "", "weight": 0.0,
        "detail": detail,
    }  # fmt: skip
