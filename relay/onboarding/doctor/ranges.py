"""Whether the list of Microsoft's addresses is fresh: from addresses that are missing in it, no mail is admitted."""

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
