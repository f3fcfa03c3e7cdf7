"""The stages of an optimisation: from coarse to fine, and at full size from cheap to exact."""

from dataclasses import dataclass

from nst_core.method import Method
from nst_core.precision import best_device, fast_bfloat16

COARSEST = 64
"""The least shorter side of a coarse scale, in pixels: below that, deep layers would see next to nothing."""
OVERHEAD = 100**2
"""The fixed cost of a step, in pixels."""
DRAFT = 0.25
"""Cost of a step with the draft network, relative to one with the other."""
EXACT = 0.05
"""Share of the finest scale's steps, its last, that are in float32: few are enough to make up for bfloat16."""


@dataclass(frozen=True)
class Stage:
    """Steps of one size, network and precision."""

    size: int
    """Longer side, in pixels."""
    draft: bool
    """Whether with the draft network."""
    exact: bool
    """Whether in float32 throughout, and not in bfloat16 wherever that is enough."""
    share: float
    """Share of the steps, relative to the other stages' shares."""
    cost: float
    """The approximate cost of a step, in pixels."""


class Plan:
    """The stages: each scale has half the steps of the next; the finest begins with the draft and ends in float32."""

    def __init__(self, method: Method, content: tuple[int, int], bfloat16: bool, draft: bool) -> None:
        self.steps = method.steps
        shape = min(content) / max(content)
        longest = [max(8, round(method.size / 2**halvings)) for halvings in reversed(range(method.scales))]
        *coarse, finest = [size for size in longest[:-1] if size * shape >= COARSEST] + longest[-1:]
        fast = bfloat16 and method.precision == "auto"

        def stage(size: int, draft: bool, exact: bool, share: float) -> Stage:
            cost = size**2 * shape + OVERHEAD
            return Stage(size, draft, exact, share, cost * (DRAFT if draft else 1) * (2 if exact else 1))

        self.stages = [stage(size, draft, not fast, 0.5**level) for level, size in enumerate(reversed(coarse), 1)][::-1]
        if draft:
            self.stages.append(stage(finest, True, not fast, 1.0))
        if fast:
            self.stages.append(stage(finest, False, False, 1 - EXACT))
        self.stages.append(stage(finest, False, True, EXACT if fast else 1.0))

    def end(self, number: int, began: int) -> int:
        """The last step of a stage that begins after the step ``began``; if few are left, the last stage has all."""
        left = self.steps - began
        if number + 1 == len(self.stages):
            return began + max(1, left)
        share = self.stages[number].share / sum(stage.share for stage in self.stages[number:])
        return began + max(0, min(left - 1, round(left * share)))

    def left(self, number: int, step: int, end: int) -> float:
        """Cost, in pixels, of the steps after ``step`` to the ``end`` of a stage, and of all later stages."""
        cost = (end - step) * self.stages[number].cost
        for later in range(number + 1, len(self.stages)):
            began, end = end, self.end(later, end)
            cost += (end - began) * self.stages[later].cost
        return cost

    def whole(self) -> float:
        """What all steps cost, in pixels."""
        return self.left(0, 0, self.end(0, 0))


def work_of_step(method: Method, content: tuple[int, int]) -> float:
    """The work of the first step, as of ``work``."""
    return _plan(method, content).stages[0].cost


def work(method: Method, content: tuple[int, int]) -> float:
    """The amount of work for a method and a picture of that width and height, in arbitrary units.

    Between runs with the same layers, feature network and machine it is proportional to the time that they take.
    """
    return _plan(method, content).whole()


def _plan(method: Method, content: tuple[int, int]) -> Plan:
    return Plan(method, content, fast_bfloat16(best_device()), draft=False)
