"""How the gate says what it measured: an effect with its interval, a level of confidence, a p-value."""

from dataclasses import dataclass

from ratchet.gate.bootstrap import Effect


@dataclass(frozen=True)
class Scale:
    """What an effect is of, and its words: which way is a `gain` and which a `harm`, and how a size of it is written.

    `same` says that two models differ in nothing on it.
    """

    what: str
    gain: str = "less"
    harm: str = "more"
    factor: float = 100
    digits: int = 1
    unit: str = " %"
    same: str = "The challenger predicts what the champion predicts."

    def size(self, value: float) -> str:
        """A size without its sign: 8.3 %."""
        return f"{abs(value) * self.factor:.{self.digits}f}{self.unit}"

    def limit(self, value: float) -> str:
        """A size that somebody has set, in as many digits as it has: 1 %."""
        return f"{value * self.factor:g}{self.unit}"


LOSS = Scale("loss")
ABSOLUTE_ERROR = Scale("absolute error")
LOG_LOSS = Scale("log loss")
AUC = Scale("AUC", "more", "less", 1, 3, "", "The challenger ranks the rows as the champion ranks them.")


def measured(effect: Effect, scale: Scale = LOSS) -> str:
    """An effect in words: 8.3 % less loss (95 % interval 3.1 % to 13.4 %)."""
    if effect.low > 0 or effect.high < 0:
        near, far = sorted((abs(effect.low), abs(effect.high)))
        bounds = f"{scale.size(near)} to {scale.size(far)}"
    else:
        bounds = f"{scale.size(effect.low)} {scale.harm} to {scale.size(effect.high)} {scale.gain}"
    direction = scale.gain if effect.estimate >= 0 else scale.harm
    return f"{scale.size(effect.estimate)} {direction} {scale.what} ({level(effect.alpha)} interval {bounds})"


def level(alpha: float) -> str:
    """What two bounds at `alpha` cover, to as many digits as tell it from 100 %."""
    share = 100 * (1 - 2 * alpha)
    digits = next((d for d in range(6) if round(share, d) < 100), 6)
    return f"{share:.{digits}f} %"


def p_value(value: float) -> str:
    """A p-value to two digits."""
    return "p < 0.0001" if value < 0.0001 else f"p = {value:.2g}"
