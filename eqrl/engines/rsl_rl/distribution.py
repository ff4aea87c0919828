"""A Gaussian for rsl_rl with one width for each orbit of actions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from rsl_rl.modules.distribution import GaussianDistribution
from torch import Tensor
from torch.distributions import Normal

from eqrl.errors import UsageError


class OrbitGaussian(GaussianDistribution):  # type: ignore[misc]
    """rsl_rl's ``GaussianDistribution``, whose coordinates share their width where the group mixes them.

    So ``log_prob(g a | g s) = log_prob(a | s)`` holds. A width for each coordinate, as rsl_rl's own class has it, would
    prefer some directions. :class:`~eqrl.engines.rsl_rl.EquivariantModel` gives the orbits; all other options are those
    of rsl_rl's class.

    Args:
        output_dim: size of the action.
        init_std: initial width.
        std_range: smallest and largest width.
        std_type: what is learnt: ``"scalar"``, the width, or ``"log"``, its logarithm.
        learn_std: whether widths are learnt.
        orbits: the orbit of each coordinate, numbered from 0.

    Raises:
        UsageError: if there is not one orbit for each coordinate.
    """

    orbit: Tensor

    def __init__(
        self,
        output_dim: int,
        init_std: float = 1.0,
        std_range: tuple[float, float] = (1e-6, 1e6),
        std_type: str = "scalar",
        learn_std: bool = True,
        orbits: Sequence[int] = (),
    ) -> None:
        if len(orbits) != output_dim:
            raise UsageError(
                f"OrbitGaussian: {len(orbits)} orbits for an action of {output_dim}; leave orbits out and make the"
                " model an eqrl.engines.rsl_rl:EquivariantModel, which gives them"
            )
        super().__init__(max(orbits) + 1, init_std, std_range, std_type, learn_std)
        self.output_dim = output_dim
        self.register_buffer("orbit", torch.as_tensor(orbits, dtype=torch.int64), persistent=False)

    def update(self, mlp_output: Tensor) -> None:
        """Set the distribution to the means ``(B, output_dim)``."""
        if self.std_type == "scalar":
            widths = self.std_param.clamp(*self.std_range)
        else:
            widths = self.log_std_param.clamp(*self.log_std_range).exp()
        self._distribution = Normal(mlp_output, widths.index_select(0, self.orbit))
