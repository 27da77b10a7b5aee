"""A verdict engine for Sluice: suspects subjects that shout."""

from collections.abc import Iterable

from pydantic import Field

from verdicts.contract import Engine, EngineOptions, Finding, Severity, Tools, Unscanned
from verdicts.mail import Mail


class EarlyBird(Engine):
    """Suspects subjects that shout."""

    class Options(EngineOptions):
        """[engines.early_bird]."""

        words: list[str] = Field(["URGENT"], min_length=1)
        """Words to look for."""

    def __init__(self, options: Options, tools: Tools) -> None:
        super().__init__(options, tools)
        self._words = options.words

    async def judge(self, mail: Mail) -> Iterable[Finding]:
        """Raises `Unscanned` when the message has more parts than are read."""
        structure = await mail.read_structure()
        if structure.truncated:
            raise Unscanned("too many parts")
        subject = mail.fields.text("Subject")
        shouted = (word for word in self._words if word in subject)
        return [Finding("SHOUTS", Severity.SUSPICIOUS, weight=1.5, detail=word) for word in shouted]
