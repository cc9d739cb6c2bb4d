"""`python -m tools.costs`: what `returns` costs a month on AWS, by calculation from list prices and stated assumptions.

Prices are US dollars of us-east-1 as published in 2026, without free tiers; check them before you rely on the sum.
"""

from dataclasses import dataclass

DAYS = 30.4
RUNS, SCORINGS = 24 * DAYS, 144 * DAYS
TRAINING_HOURS = RUNS * 5 / 60
"""Five billed minutes a job: fetching the image, starting, and less than a minute of training."""
INSTANCES = {"ml.g4dn.xlarge": 0.7364, "ml.m5.xlarge": 0.23}
SPOT = 0.35
"""Managed spot at 65 % below the list price, which varies."""
GB_SECONDS_A_RUN = 1.73 * 10 + 2.94 * 5 + 2.94 * 5 + 0.5 * 8
"""Extract, prepare, evaluate and the small steps: gigabytes by seconds, from the laptop target's times, rounded up."""
GB_SECONDS_A_SCORING = 1.73 * 1.5
TRANSITIONS_A_RUN = 40
STORED_GB = 10
"""Thirty days of run objects and bundles, the landed rows, noncurrent versions."""


@dataclass(frozen=True)
class Item:
    """One line of the bill: so many units at so much."""

    name: str
    units: float
    unit: str
    price: float

    @property
    def cost(self) -> float:
        """Dollars a month."""
        return self.units * self.price


def items(instance: str, spot: bool) -> list[Item]:
    """The bill for one choice of training capacity."""
    hourly = INSTANCES[instance] * (SPOT if spot else 1)
    seconds = RUNS * GB_SECONDS_A_RUN + SCORINGS * GB_SECONDS_A_SCORING
    return [
        Item(f"training on {instance}{', spot' if spot else ''}", TRAINING_HOURS, "hours", hourly),
        Item("functions", seconds, "GB-seconds", 0.0000166667),
        Item("state transitions", RUNS * TRANSITIONS_A_RUN / 1000, "thousands", 0.025),
        Item("storage", STORED_GB, "GB", 0.023),
        Item("S3 writes", (RUNS * 60 + SCORINGS * 2) / 1000, "thousands", 0.005),
        Item("alarms", 5, "alarms", 0.10),
        # Billed by the hour in which it is written, so the metric of a champion that does not serve costs nothing here.
        Item("the age of the champion", 1, "metric", 0.30),
        Item("logs", 1, "GB", 0.50),
        Item("secret", 1, "secret", 0.40),
    ]


def main() -> None:
    """Prints the bill as a table, and the sum for the other choices."""
    bill = items("ml.g4dn.xlarge", spot=True)
    print("| Item | A month | US$ |\n| --- | --- | --- |")
    for item in bill:
        print(f"| {item.name} | {item.units:,.0f} {item.unit} | {item.cost:.2f} |")
    print(f"| **sum** | | **{sum(item.cost for item in bill):.2f}** |")
    for instance, spot in (("ml.g4dn.xlarge", False), ("ml.m5.xlarge", False), ("ml.m5.xlarge", True)):
        total = sum(item.cost for item in items(instance, spot))
        print(f"\nWith {instance}{', spot' if spot else ', on demand'}: {total:.2f}.", end="")
    print()


if __name__ == "__main__":
    main()
