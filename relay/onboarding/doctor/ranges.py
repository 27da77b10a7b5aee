"""Whether the list of Microsoft's addresses is fresh: from an address that lacks in it, no mail is admitted."""

import datetime as dt

from relay.onboarding.doctor.result import Result, Topic

OLD = 40 * 86_400.0
"""Seconds: Microsoft changes the list about every month, and tells of a change 30 days before."""


def age(cloud: str, dated: float, looked: float, now: float) -> Result:
    """How old the list of a cloud is: by its date, or by when Microsoft was last asked (`looked`, 0 for never)."""
    topic, day = Topic("ranges.age", cloud), dt.datetime.fromtimestamp(dated, dt.UTC).date()
    days = (now - max(dated, looked)) / 86_400
    if now - max(dated, looked) > OLD:
        return topic.warning(f"the list is of {day}, and nobody has asked for {days:.0f} days", "sluice ranges update")
    return topic.ok(f"the list is of {day}")


def asked(cloud: str, answered: float, problem: str) -> Result:
    """Whether Microsoft's last answer could be used (`problem`), and when one could (`answered`, 0 for never)."""
    topic = Topic("ranges.asked", cloud)
    last = f"the last good answer is of {dt.datetime.fromtimestamp(answered, dt.UTC):%Y-%m-%d %H:%M} UTC"
    last = last if answered else "there was no good answer yet"
    if problem:
        remedy = "let HTTPS out to the host of admission.endpoints_url; it is asked again within the hour"
        return topic.warning(f"{problem}; {last}", remedy)
    return topic.ok(last) if answered else topic.skipped("Microsoft was not asked yet")


def held(cloud: str, version: str, why: str) -> Result:
    """Whether a changed list waits for an operator's yes: its `version`, empty when none does, and `why`."""
    topic = Topic("ranges.held", cloud)
    if version:
        remedy = "sluice ranges show; then sluice ranges update --accept"
        return topic.warning(f"the list of version {version} is held back, as {why}", remedy)
    return topic.ok("no changed list waits for a yes")
