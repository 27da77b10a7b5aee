"""Whether this process can serve mail, and if not, why: conditions by name."""

from relay.observe import metrics


class Health:
    """Named conditions; ready while none of them has a problem.

    The names are short and fixed ("records", "certificate"); the problems are for operators and tell no secrets.
    """

    def __init__(self) -> None:
        self._problems: dict[str, str] = {}

    def set(self, name: str, problem: str | None) -> None:
        """Say what is wrong with `name`; None when nothing is."""
        if problem is None:
            self._problems.pop(name, None)
        else:
            self._problems[name] = problem
        metrics.READY.set(self.ready)

    @property
    def ready(self) -> bool:
        """Whether nothing is wrong."""
        return not self._problems

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong, by name; a copy."""
        return dict(self._problems)
