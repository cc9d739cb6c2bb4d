"""Six trivial steps as a Metaflow flow; run by `bench.orchestration` in Metaflow's own environment."""

from metaflow import FlowSpec, step  # type: ignore[import-not-found]


class SixSteps(FlowSpec):  # type: ignore[misc]
    """Counts from 0 to 6."""

    @step  # type: ignore[untyped-decorator]
    def start(self) -> None:
        """The first step."""
        self.n = 1
        self.next(self.second)

    @step  # type: ignore[untyped-decorator]
    def second(self) -> None:
        """The second step."""
        self.n += 1
        self.next(self.third)

    @step  # type: ignore[untyped-decorator]
    def third(self) -> None:
        """The third step."""
        self.n += 1
        self.next(self.fourth)

    @step  # type: ignore[untyped-decorator]
    def fourth(self) -> None:
        """The fourth step."""
        self.n += 1
        self.next(self.fifth)

    @step  # type: ignore[untyped-decorator]
    def fifth(self) -> None:
        """The fifth step."""
        self.n += 1
        self.next(self.end)

    @step  # type: ignore[untyped-decorator]
    def end(self) -> None:
        """The sixth step."""
        self.n += 1
        assert self.n == 6


if __name__ == "__main__":
    SixSteps()
