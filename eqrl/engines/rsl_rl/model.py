"""An equivariant actor or an invariant critic where rsl_rl has a multilayer perceptron."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rsl_rl.models import MLPModel
from rsl_rl.utils import resolve_class
from torch import nn

from eqrl.agents.errors import BreaksSymmetryError
from eqrl.agents.networks import GroupChoice, Networks, choose_networks
from eqrl.engines.rsl_rl.distribution import OrbitGaussian
from eqrl.engines.rsl_rl.export import ScriptedPolicy
from eqrl.engines.rsl_rl.normalizer import TypedNormalizer
from eqrl.engines.rsl_rl.spaces import SpacesOption, TypedSpaces
from eqrl.errors import UsageError
from eqrl.symmetry import Representation, orbits, scalars

# a small last layer makes the first actions nearly independent of the observation (Andrychowicz et al., 2021)
_ACTION_GAIN = 0.01
CRITIC = "critic"


class EquivariantModel(MLPModel):  # type: ignore[misc]
    """A model of rsl_rl that cannot break the symmetry: ``mode(g s) = g mode(s)``, ``V(g s) = V(s)``.

    It takes the place of rsl_rl's ``MLPModel`` in the configuration, for actor and critic, student and teacher. The
    options of ``MLPModel`` keep their meaning; normalisation and exploration commute with the group too.

    Args:
        obs: observations of the environment; those of :class:`~eqrl.engines.rsl_rl.TypedVecEnv` carry typed spaces.
        obs_groups: names of the groups of observations in each set.
        obs_set: the set that this model reads. ``"critic"`` has invariant outputs, all others have actions.
        output_dim: number of outputs.
        hidden_dims: widths of the hidden layers; None means the backbone's own.
        activation: of the hidden layers, a name in eqrl's or rsl_rl's list; None means the backbone's own.
        obs_normalization: whether to normalise observations, with statistics that are pooled over orbits.
        distribution_cfg: of a stochastic model; its ``class_name`` is ``"eqrl.engines.rsl_rl:OrbitGaussian"``.
        network: backbone, a name in ``eqrl.nn.BACKBONES``.
        network_kwargs: further options of the backbone.
        group: ``"auto"`` for the largest group that the backbone honours cheaply, ``"full"`` for the whole group of the
            environment, or a subgroup of it.
        relative_goal: whether to replace the desired goal of several groups by its difference from the achieved one.
        spaces: a function without arguments, or its dotted path, that returns the typed spaces of observation and
            action; for environments whose observations do not carry them.

    Raises:
        UntypedSpaceError: if the spaces are not typed.
        BreaksSymmetryError: for a distribution that has no width for each orbit.
        UsageError: for a group of observations or a number of outputs that do not fit the spaces, and for actions with
            padded slots.
        ValueError: for an unknown backbone, option or group.
    """

    def __init__(
        self,
        obs: Any,
        obs_groups: dict[str, list[str]],
        obs_set: str,
        output_dim: int,
        hidden_dims: Sequence[int] | None = None,
        activation: str | None = None,
        obs_normalization: bool = False,
        distribution_cfg: dict[str, Any] | None = None,
        *,
        network: str = "frame",
        network_kwargs: Mapping[str, Any] | None = None,
        group: GroupChoice = "auto",
        relative_goal: bool = True,
        spaces: SpacesOption | None = None,
    ) -> None:
        nn.Module.__init__(self)  # that of MLPModel would build a perceptron
        self.obs_groups, self.obs_dim = self._get_obs_dim(obs, obs_groups, obs_set)
        typed = TypedSpaces.find(obs, spaces)
        observed = typed.observed(self.obs_groups, [obs[name].shape[-1] for name in self.obs_groups])
        options = {**_perceptron_options(hidden_dims, activation), **(network_kwargs or {})}
        networks = choose_networks(observed, typed.action, network, options, None, None, group)
        self.group = networks.actor_group
        self.obs_normalization = obs_normalization
        self.obs_normalizer = TypedNormalizer(
            observed, self.obs_groups, self.group, obs_normalization, relative_goal, networks.takes_positions
        )
        if obs_set == CRITIC:
            output = scalars("value", output_dim, networks.observation.group)
            self.mlp = networks.critic(networks.observation, output)
        else:
            output = _checked_action(networks, typed, output_dim)
            self.mlp = networks.actor(output, _ACTION_GAIN)
        self.distribution = None if distribution_cfg is None else self._distribution_over(output, distribution_cfg)

    def _distribution_over(self, output: Representation, cfg: dict[str, Any]) -> OrbitGaussian:
        kind, options = resolve_class(cfg)
        if not (isinstance(kind, type) and issubclass(kind, OrbitGaussian)):
            raise BreaksSymmetryError(
                f"distribution_cfg: {getattr(kind, '__name__', kind)} has a width for each coordinate, which prefers"
                " some directions; use 'class_name': 'eqrl.engines.rsl_rl:OrbitGaussian'"
            )
        return kind(output.dim, orbits=orbits(output, self.group).index.tolist(), **options)

    def as_jit(self) -> nn.Module:
        """The deterministic model for ``torch.jit.script``, on the CPU."""
        policy = super().as_jit().cpu()
        policy.mlp.freeze()
        return ScriptedPolicy(policy, self.obs_dim)

    def as_onnx(self, verbose: bool) -> nn.Module:
        """The deterministic model for ``torch.onnx.export``, on the CPU."""
        policy: nn.Module = super().as_onnx(verbose).cpu()
        policy.mlp.freeze()  # type: ignore[operator,union-attr]
        return policy


def _perceptron_options(hidden_dims: Sequence[int] | None, activation: str | None) -> dict[str, Any]:
    """The options of rsl_rl's perceptron as options of a backbone."""
    options: dict[str, Any] = {}
    if hidden_dims is not None:
        options["hidden"] = list(hidden_dims)
    if activation is not None:
        options["activation"] = {"swish": "silu"}.get(activation, activation)
    return options


def _checked_action(networks: Networks, typed: TypedSpaces, output_dim: int) -> Representation:
    """The representation of actions.

    Raises:
        UsageError: if the model has another number of outputs, or slots of the action may be padded.
    """
    if output_dim != networks.action.dim:
        raise UsageError(
            f"the model has {output_dim} outputs, but the typed action space has {networks.action.dim} entries; only"
            " the set 'critic' has outputs that are not actions"
        )
    if networks.action_padding(typed.action, unit=False) is not None:
        raise UsageError(
            "the action has padded slots, whose noise rsl_rl's densities would count; train with eqrl's PPO, or an"
            " environment without padding"
        )
    return networks.action
