"""The algorithm that creates a policy, and whether the policy is made for it.

Stable-Baselines3 gives a policy two spaces and a learning rate, but neither the algorithm nor its environment. Two
mistakes can be detected only there: a policy for a different algorithm, and observations that a wrapper has rewritten.
The classes of Stable-Baselines3 stay untouched, so the policy inspects its callers: the algorithm is the ``self`` of
the calling method.
"""

from __future__ import annotations

import sys

from stable_baselines3.common.base_class import BaseAlgorithm

_POLICY_OF = {
    "PPO": "EquivariantPolicy",
    "A2C": "EquivariantPolicy",
    "TRPO": "EquivariantPolicy",
    "SAC": "EquivariantSACPolicy",
    "TQC": "EquivariantTQCPolicy",
    "TD3": "EquivariantTD3Policy",
    "DDPG": "EquivariantTD3Policy",
}
# algorithms without a policy in eqrl: the reason, and what to use instead
_NO_POLICY = {
    "RecurrentPPO": (
        "it needs a recurrent policy; use PPO(EquivariantPolicy, ...), with what is to be remembered in the observation"
    ),
    "MaskablePPO": "its actions are discrete and masked; use PPO(EquivariantPolicy, ...) with continuous actions",
    "CrossQ": (
        "its Q-functions need batch normalisation by component, which breaks the symmetry; use"
        " SAC(EquivariantSACPolicy, ...) or TQC(EquivariantTQCPolicy, ...)"
    ),
    "DQN": "its actions are discrete; use SAC(EquivariantSACPolicy, ...) with continuous actions",
    "QRDQN": "its actions are discrete; use TQC(EquivariantTQCPolicy, ...) with continuous actions",
    "ARS": "it searches a small deterministic policy without a value; use PPO(EquivariantPolicy, ...)",
}


def calling_algorithm(callee: object) -> BaseAlgorithm | None:
    """The algorithm whose method called a method of ``callee``; None if the caller is something else.

    Args:
        callee: the object that asks; its own methods in the call stack are skipped.
    """
    frame = sys._getframe(1)
    while frame is not None and frame.f_locals.get("self") is callee:
        frame = frame.f_back  # type: ignore[assignment]
    caller = frame.f_locals.get("self") if frame is not None else None
    return caller if isinstance(caller, BaseAlgorithm) else None


def check_algorithm(policy: type, algorithm: BaseAlgorithm) -> None:
    """Refuse a policy that is not made for its algorithm. Unknown algorithms are accepted.

    Args:
        policy: class of the policy.
        algorithm: the algorithm that creates it.

    Raises:
        ValueError: naming the right policy, or what to use instead if there is none.
    """
    name = next(base.__name__ for base in policy.__mro__ if base.__name__ in _POLICY_OF.values())
    for base in type(algorithm).__mro__:
        if base.__name__ in _NO_POLICY:
            raise ValueError(
                f"{name} is not for {base.__name__}, and eqrl has no policy that is: {_NO_POLICY[base.__name__]}"
            )
        if base.__name__ in _POLICY_OF:
            right = _POLICY_OF[base.__name__]
            if right != name:
                raise ValueError(
                    f"{name} is not for {base.__name__}; write {base.__name__}({right}, ...), from eqrl.agents"
                )
            return
