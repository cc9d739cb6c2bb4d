"""Rules of scoring: what is written, what is answered, and by which model."""

from datetime import timedelta
from typing import Any

from ratchet.errors import NoChampion, RatchetError, StaleInput, Unavailable
from ratchet.store import Stored

from tests.faults.simulator.bucket import Change
from tests.faults.simulator.functions import PIPELINE
from tests.faults.simulator.rules.seen import KEYS, Seen, instant_at, parsed, require


class Scoring(Seen):
    """Looks at slots, at the mark of what has been scored, and at answers."""

    def _slot(self, change: Change, before: Stored | None) -> None:
        require(before is None, "a slot is written once", change.key)
        answer = self.store.json(change.key)
        scale = self.scales.get(answer["model_run_ts"])
        require(answer["model_run_ts"] in self.service, "only a champion scores", answer)
        version = answer["pred"]["value"] / scale if scale else 0
        require(abs(version - round(version)) < 1e-3, "a prediction is of the model it names", answer)

    def _scoring_state(self, change: Change, before: Stored | None) -> None:
        new = instant_at(self.store.json(change.key)["base_ts"])
        if before is None:
            return
        old = instant_at(parsed(before.body)["base_ts"])
        require(new >= old, "scoring never goes back", f"{old} became {new}")
        table = self.world.tables["left"]
        caught_up = self.world.now - timedelta(minutes=10) * PIPELINE.serving.catch_up_slots + 2 * self.world.skew
        for instant, version in table.rows.items():
            wanted = version is not None and instant not in table.late | table.unscored
            if wanted and max(old, caught_up) < instant <= new:
                key = KEYS.predictions(instant.date(), instant.strftime("%Y-%m-%dT%H-%M-%SZ"))
                require(self.store.get(key) is not None, "no slot is left out", f"{instant} by {change.by}")

    def scoring_begins(self) -> int:
        """Where in the order of champions an invocation begins."""
        return max(0, len(self.service) - 1)

    def scored(self, name: str, champion: Any, answers: Any, inputs: Any, begun: int) -> None:
        """Looks at an answer to rows."""
        runs = {answer["model_run_ts"] for answer in answers}
        require(len(runs) == 1, "an answer is of one model", answers)
        (run,) = runs
        known = self.service if champion.fault else self.service[begun:]
        require(run in known, "the model that answers is in service", f"{name} answers by {run}, there were {known}")
        for answer, row in zip(answers, inputs, strict=True):
            expected = self.scales[run] * row["vector"][0]
            right = abs(answer["pred"]["value"] - expected) < 1e-5
            require(right, "a prediction is of the model it names", f"{answer} is not {expected}")

    def scoring_failed(self, name: str, error: RatchetError) -> None:
        """Looks at a refusal to score."""
        fair = (
            isinstance(error, Unavailable)
            or (isinstance(error, NoChampion) and not self.service)
            or (isinstance(error, StaleInput) and self.world.happened["empty page"] > 0)
        )
        require(fair, "a scorer that may serve serves", f"{name}: {error!r}")
