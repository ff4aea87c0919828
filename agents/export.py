"""Export of the deterministic policy of a model to a file: :func:`export_policy`.

The exported graph is everything that ``model.predict(observation, deterministic=True)`` computes: normalisation,
network, squash, and Stable-Baselines3's clip or rescaling to the bounds of the action. It runs without eqrl and
Stable-Baselines3, and it has the symmetry of the policy.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor, nn

from eqrl.agents.actions import ActionGeometry
from eqrl.agents.features import TypedFeatures
from eqrl.agents.symmetric_policy import SymmetricPolicy
from eqrl.errors import UsageError
from eqrl.files.atomic import write_whole
from eqrl.nn import Backbone
from eqrl.symmetry import representation_of

OBSERVATION, ACTION = "observation", "action"
_NEEDED = ("onnx", "onnxscript")
# two is the smallest batch size that a compiler does not treat as a constant
_EXAMPLES = 2


class DeterministicPolicy(nn.Module):
    """The deterministic policy of a model as one module. It is a copy, on the CPU and in float32.

    Its dense weights are cached (:meth:`eqrl.nn.Backbone.freeze`).

    Args:
        model: a Stable-Baselines3 model with one of eqrl's policies.

    Raises:
        UsageError: if the model has any other policy.
    """

    low: Tensor
    high: Tensor

    def __init__(self, model: BaseAlgorithm) -> None:
        super().__init__()
        policy = model.policy
        if not isinstance(policy, SymmetricPolicy):
            raise UsageError(
                f"{type(policy).__name__} is no policy of eqrl and cannot be exported; train with network mlp, which is"
                " the same network behind eqrl's normaliser"
            )
        actor: Any = getattr(policy, "actor", None)
        self.unit = actor is not None  # SAC and TD3 act in units of the bounds
        parts = (
            (policy.pi_features_extractor, policy.action_net, policy.geometry)
            if actor is None
            else (actor.features_extractor, actor.backbone, actor.geometry)
        )
        features, backbone, geometry = (copy.deepcopy(part).to("cpu", torch.float32) for part in parts)
        assert isinstance(features, TypedFeatures)
        assert isinstance(backbone, Backbone)
        assert isinstance(geometry, ActionGeometry)
        self.features, self.backbone, self.geometry = features, backbone.freeze(), geometry
        assert isinstance(policy.action_space, spaces.Box)
        self.register_buffer("low", torch.as_tensor(policy.action_space.low))
        self.register_buffer("high", torch.as_tensor(policy.action_space.high))
        self.observation_space, self.action_space = policy.observation_space, policy.action_space
        self.group = policy.group
        self.eval()

    def forward(self, observation: Tensor | dict[str, Tensor]) -> Tensor:
        """Actions of shape ``(B, action_dim)`` within their bounds.

        Args:
            observation: float32 of shape ``(B, dim)``, or a dict of such tensors with sorted keys.
        """
        # SAC's network returns widths after the mean
        mean = self.backbone(self.features(observation))[:, : self.geometry.dim]
        if self.unit:
            unit: Tensor = self.geometry.squash(mean)
            return self.low + 0.5 * (unit + 1.0) * (self.high - self.low)
        action: Tensor = self.geometry.squash(self.geometry.bound(mean))
        return action.clamp(self.low, self.high)

    def example(self) -> Tensor | dict[str, Tensor]:
        """A batch of observations in the form that ``forward`` takes."""
        space = self.observation_space
        if isinstance(space, spaces.Dict):
            return {key: _random(space[key]) for key in sorted(space.spaces)}
        return _random(space)

    def description(self) -> dict[str, str]:
        """What users of the file have to know: the fields of observations and actions, and the group."""
        space = self.observation_space
        entries = (
            {key: space[key] for key in sorted(space.spaces)}
            if isinstance(space, spaces.Dict)
            else {OBSERVATION: space}
        )
        tables = {
            key: representation_of(entry).table() for key, entry in {**entries, ACTION: self.action_space}.items()
        }
        return {"eqrl": version("eqrl"), "network": self.backbone.label, "group": str(self.group), **tables}


def export_policy(model: BaseAlgorithm, path: str | Path) -> Path:
    """Write the deterministic policy of a model to a file.

    The batch size is free. Inputs have the names of the keys of the observation, or ``observation``; the output is
    ``action``. Fields and group are stored as metadata of the ONNX file, or as ``eqrl.json`` in a ``.pt2`` file.

    Args:
        model: a Stable-Baselines3 model with one of eqrl's policies.
        path: ``.onnx``, or ``.pt2`` for ``torch.export.load``; an existing file is replaced.

    Returns:
        The path.

    Raises:
        UsageError: for any other kind of file or policy, for a network that cannot be exported, and for ``.onnx`` if
            ``eqrl[export]`` is not installed.
    """
    path = Path(path)
    write = writer(path)
    policy = DeterministicPolicy(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    # PyTorch names the contents of a .pt2 file after the file
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        written = Path(folder) / path.name
        with _short_errors(policy.backbone.label), torch.no_grad():
            write(policy, written)
        write_whole(path, written.read_bytes())
    return path


def writer(path: Path) -> Callable[[DeterministicPolicy, Path], None]:
    """The function that writes a file of this kind.

    Raises:
        UsageError: for any other kind of file, or if a package that it needs is not installed.
    """
    if path.suffix == ".pt2":
        return _write_pt2
    if path.suffix != ".onnx":
        raise UsageError(f"file {path}: unknown kind {path.suffix!r}; use .onnx or .pt2")
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        raise UsageError(
            f"file {path}: ONNX needs {' and '.join(missing)}; pip install 'eqrl[export]', or write a .pt2 file"
        )
    return _write_onnx


def _write_pt2(policy: DeterministicPolicy, path: Path) -> None:
    example = policy.example()
    program = torch.export.export(policy, (example,), dynamic_shapes=(_free_batch(example),))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # holds paths of this machine
    torch.export.save(program, path, extra_files={"eqrl.json": json.dumps(policy.description(), indent=2)})


def _write_onnx(policy: DeterministicPolicy, path: Path) -> None:
    example = policy.example()
    program = torch.onnx.export(
        policy,
        kwargs={OBSERVATION: example},  # a dict as last positional argument would be read as keyword arguments
        dynamic_shapes={OBSERVATION: _free_batch(example)},
        input_names=list(sizes_of(policy.observation_space)),
        output_names=[ACTION],
        dynamo=True,
        optimize=False,  # the optimiser drops + 1e-12, and zero actions become NaN; runtimes optimise when they load
        verbose=False,
    )
    assert program is not None
    for node in program.model.graph:  # its stack traces hold paths of this machine
        node.metadata_props.clear()
    program.model.metadata_props.update(policy.description())
    program.save(path)


def _free_batch(example: Tensor | Mapping[str, Tensor]) -> Any:
    batch = {0: torch.export.Dim("batch")}
    return dict.fromkeys(example, batch) if isinstance(example, Mapping) else batch


def _random(space: spaces.Space[Any]) -> Tensor:
    return torch.randn(_EXAMPLES, representation_of(space).dim, generator=torch.Generator().manual_seed(0))


def sizes_of(space: spaces.Space[Any]) -> dict[str, int]:
    """Names of the inputs of the graph, with their lengths."""
    if isinstance(space, spaces.Dict):
        return {key: representation_of(space[key]).dim for key in sorted(space.spaces)}
    return {OBSERVATION: representation_of(space).dim}


@contextmanager
def _short_errors(network: str) -> Iterator[None]:
    """Suppress PyTorch's warnings, and shorten its errors to one line."""
    logger = logging.getLogger("torch.onnx")  # lists every operator of packages that are not installed
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (RuntimeError, ValueError, TypeError, AssertionError, NotImplementedError) as error:
        cause: BaseException = error
        while cause.__cause__ is not None:  # PyTorch wraps the cause in pages of advice
            cause = cause.__cause__
        first = next((line for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
        raise UsageError(f"network {network!r} cannot be exported: {first}") from error
    finally:
        logger.setLevel(level)
