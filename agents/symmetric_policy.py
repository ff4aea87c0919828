"""Base classes of the policies of all algorithms."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from typing import Any, ClassVar, Self, get_type_hints

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import Schedule

from eqrl.agents.algorithm import calling_algorithm, check_algorithm
from eqrl.agents.critic import EquivariantCritic
from eqrl.agents.describe import describe
from eqrl.agents.features import TypedFeatures
from eqrl.agents.networks import GroupChoice, Networks, choose_networks
from eqrl.agents.rewriting import refuse_rewritten, typed
from eqrl.agents.stock_options import STOCK_OPTIONS, translated
from eqrl.nn import Padding
from eqrl.nn.signatures import whole_signature
from eqrl.symmetry import Group

# options of PyTorch's Adam that change how it computes, not what
_KERNELS = {"fused", "foreach", "capturable", "differentiable"}


class SymmetricPolicy(BasePolicy):
    """Mixin for a policy that knows its group. It precedes SB3's policy class among the bases.

    Attributes:
        networks: choice of backbones.
        critic_in_net_arch: SB3's name for the critic in ``net_arch``.
    """

    critic_in_net_arch: ClassVar[str] = "qf"
    networks: Networks
    optimizer_class: type[torch.optim.Optimizer]
    optimizer_kwargs: dict[str, Any]
    _constructor_options: Mapping[str, Any] = {}  # subclasses set theirs before they call this class's constructor

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Show the common options in the signature of every policy."""
        super().__init_subclass__(**kwargs)
        cls.__signature__ = whole_signature(cls, SymmetricPolicy)  # type: ignore[attr-defined]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Refuse an algorithm that the policy is not made for, before its arguments are read.

        Raises:
            ValueError: naming the right policy.
            BreaksSymmetryError: if a wrapper that normalises has removed the types of the environment.
        """
        maker = sys._getframe(1).f_locals.get("self")
        if isinstance(maker, BaseAlgorithm):
            check_algorithm(cls, maker)
            if maker.env is not None and not typed(maker.observation_space):
                refuse_rewritten(maker.env)
        return super().__new__(cls)

    def __init__(
        self,
        observation_space: gymnasium.Space[Any],
        action_space: gymnasium.Space[Any],
        lr_schedule: Schedule,
        *,
        network: str = "frame",
        network_kwargs: Mapping[str, Any] | None = None,
        critic_network: str | None = None,
        critic_kwargs: Mapping[str, Any] | None = None,
        group: GroupChoice = "auto",
        normalize: bool = True,
        normalize_until: int | None = None,
        relative_goal: bool = True,
        share_features_extractor: bool = True,
        optimizer_class: type[torch.optim.Optimizer] = torch.optim.Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
        **stock: Any,
    ) -> None:
        """Choose the networks and pass the rest to Stable-Baselines3. The subclasses document the options."""
        networks = (network, network_kwargs, critic_network, critic_kwargs)
        network_kwargs, critic_kwargs = translated(stock, self.options(), self.critic_in_net_arch, networks)
        self.networks = choose_networks(
            observation_space, action_space, network, network_kwargs, critic_network, critic_kwargs, group
        )
        features = {"normalize": normalize, "normalize_until": normalize_until, "relative_goal": relative_goal}
        self._constructor_options = {
            "network": network,
            "network_kwargs": network_kwargs,
            "critic_network": critic_network,
            "critic_kwargs": critic_kwargs,
            "group": group,
            **features,
            "share_features_extractor": share_features_extractor,
            **self._constructor_options,
        }
        self._refuse_rewritten_environment()
        super().__init__(  # SB3's class, which follows this one among the bases
            observation_space,
            action_space,
            lr_schedule,
            features_extractor_class=TypedFeatures,
            features_extractor_kwargs={
                "group": self.networks.widest_group,
                "keep_positions": self.networks.takes_positions,
                **features,
            },
            share_features_extractor=share_features_extractor,
            optimizer_class=optimizer_class,
            optimizer_kwargs=optimizer_kwargs,
            **self._stock_arguments(),
        )

    def _stock_arguments(self) -> dict[str, Any]:
        """Further arguments of the class of Stable-Baselines3."""
        return {}

    def set_training_mode(self, mode: bool) -> None:
        """Switch between training and acting, as SB3 does before every rollout and every update.

        Raises:
            BreaksSymmetryError: if the algorithm has a new environment, which breaks the symmetry.
        """
        self._refuse_rewritten_environment()
        super().set_training_mode(mode)

    def _refuse_rewritten_environment(self) -> None:
        algorithm = calling_algorithm(self)
        if algorithm is not None and algorithm.env is not None and self.networks.widest_group.generators:
            refuse_rewritten(algorithm.env)

    @classmethod
    def options(cls) -> set[str]:
        """Names that ``policy_kwargs`` may hold."""
        return {*STOCK_OPTIONS, *cls.option_types()} - {"use_sde"}

    @classmethod
    def option_types(cls) -> dict[str, Any]:
        """Types of the options that eqrl's policies add, by name."""
        parameters = [p for p in inspect.signature(cls).parameters.values() if p.kind is p.KEYWORD_ONLY]
        hints: dict[str, Any] = {}
        for base in reversed(cls.__mro__):
            if issubclass(base, SymmetricPolicy) and "__init__" in vars(base):
                hints |= get_type_hints(vars(base)["__init__"])
        return {p.name: hints[p.name] for p in parameters}

    @property
    def group(self) -> Group:
        """The group that the policy as a whole commutes with, whatever its weights."""
        return self.networks.group

    def describe(self) -> str:
        """Fields, group, networks and number of parameters, as text."""
        return describe(self, self.networks)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        """Everything that ``load`` needs; SB3's list lacks ``share_features_extractor``."""
        return {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "lr_schedule": self._dummy_schedule,
            "optimizer_class": self.optimizer_class,
            "optimizer_kwargs": self.optimizer_kwargs,
            **self._constructor_options,
        }

    def _choose_kernel(self) -> None:
        """Use Adam's fused kernel unless the user chose another one; to be called before the optimizer is created."""
        if self.optimizer_class in (torch.optim.Adam, torch.optim.AdamW) and not _KERNELS & set(self.optimizer_kwargs):
            self.optimizer_kwargs = {**self.optimizer_kwargs, "fused": True}


class OffPolicyMixin(SymmetricPolicy):
    """Mixin for policies with invariant Q-functions, as in SAC and TD3."""

    action_space: spaces.Box
    actor: Any
    critic: Any

    def __init__(
        self,
        observation_space: gymnasium.Space[Any],
        action_space: gymnasium.Space[Any],
        lr_schedule: Schedule,
        *,
        n_critics: int = 2,
        **options: Any,
    ) -> None:
        if n_critics < 1:
            raise ValueError(f"n_critics={n_critics} is too small; give at least 1, SB3's default is 2")
        self._constructor_options = {**self._constructor_options, "n_critics": n_critics}
        super().__init__(observation_space, action_space, lr_schedule, **options)

    def _stock_arguments(self) -> dict[str, Any]:
        return {"n_critics": self._constructor_options["n_critics"]}

    def _build(self, lr_schedule: Schedule) -> None:
        """Create networks and optimizers; called by the base class."""
        self._choose_kernel()
        super()._build(lr_schedule)  # type: ignore[misc]

    def unscale_action(self, scaled_action: NDArray[np.float32]) -> NDArray[np.float32]:
        """Actions in the environment's units.

        The algorithm calls this method when it explores. Its actions may then be samples of the whole box or contain
        added noise, both of which ignore padding. Padded entries are therefore set to zero, also in the given array,
        because the algorithm stores that array in its replay buffer.
        """
        explorer = sys._getframe(1).f_locals.get("self")
        if isinstance(explorer, BaseAlgorithm) and self._action_padding is not None:
            observations = explorer._last_obs
            assert observations is not None  # the algorithm explores from them
            scaled_action[~self._valid_entries(observations)] = 0.0
        return super().unscale_action(scaled_action)

    @torch.no_grad()
    def _valid_entries(self, observations: Any) -> NDArray[np.bool_]:
        assert self._action_padding is not None
        extractor = self.actor.features_extractor
        assert isinstance(extractor, TypedFeatures)
        return self._action_padding.valid(extractor.flatten(self.obs_to_tensor(observations)[0])).cpu().numpy()

    @property
    def _action_padding(self) -> Padding | None:
        padding: Padding | None = self.critic.padding
        return padding

    def make_critic(self, features_extractor: TypedFeatures | None = None) -> EquivariantCritic:
        """Create the Q-functions; called by the base class."""
        return EquivariantCritic(
            self.observation_space,
            self.action_space,
            self.networks,
            features_extractor or self._make_extractor(),
            n_critics=self._constructor_options["n_critics"],
        ).to(self.device)

    def _make_extractor(self) -> TypedFeatures:
        extractor = self.make_features_extractor()
        assert isinstance(extractor, TypedFeatures)
        return extractor
