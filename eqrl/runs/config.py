"""The configuration of a training run: the only definition of its options, their help texts, types and defaults."""

# ruff: noqa: RUF009 (option() wraps dataclasses.field())

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_type_hints

from eqrl.errors import UsageError, suggestion
from eqrl.files.plain_files import read_plain_file
from eqrl.runs.values import ConversionError, convert, plain

STOCK_POLICY = "MlpPolicy"
_LEAST = {
    "n_timesteps": 1,
    "n_envs": 1,
    "shards": 1,
    "num_threads": 1,
    "eval_episodes": 1,
    "eval_freq": 0,
    "save_freq": 0,
    "keep_checkpoints": 0,
    "rotations": 0,
    "mirror_loss": 0,
}


def option(default: Any, group: str, help: str, *flags: str, metavar: str | None = None) -> Any:
    """A dataclass field that is also a command-line option.

    Args:
        default: default value; a dict is copied for every instance.
        group: heading under which ``--help`` lists it.
        help: help text.
        flags: short forms such as ``-n``.
        metavar: placeholder of the value in the help text.
    """
    metadata = {"group": group, "help": help, "flags": flags, "metavar": metavar}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Config:
    """Everything that defines a training run.

    An option that is None takes its value from the preset of the algorithm and environment (``agents/presets``);
    values given on the command line win over those in a configuration file, and both win over the preset. The help
    text of each option is in its ``metadata["help"]`` and in ``eqrl train --help``.

    Raises:
        UsageError: if an option has the wrong type or an impossible value.
    """

    algo: Literal["ppo", "sac", "td3"] = option("ppo", "what to train", "algorithm of Stable-Baselines3")
    env: str = option("eqrl/AntTarget-v0", "what to train", "id of a Gymnasium environment", metavar="ID")
    env_kwargs: dict[str, Any] = option(
        {}, "what to train", "options of the environment, for instance 'target_sector:(-15,15)'", metavar="K:V"
    )
    gym_packages: list[str] | None = option(
        None, "what to train", "packages to import first because they register the environment", metavar="PACKAGE"
    )
    approximate: bool = option(
        False,
        "what to train",
        "count symmetries that an environment without types keeps only nearly (Humanoid's mirror)",
    )
    network: str | None = option(
        None,
        "policy",
        "frame, regular, vector, steerable, transformer, set, heading, goal, mlp, ...; or"
        f" {STOCK_POLICY}, the stock policy without symmetry",
        metavar="NAME",
    )
    group: str = option(
        "auto", "policy", "symmetry group of the policy, for instance SO2 (auto: what the environment declares)"
    )
    policy_kwargs: dict[str, Any] = option(
        {}, "policy", "further arguments of the policy, for instance 'network_kwargs:{hidden:[64,64]}'", metavar="K:V"
    )
    augment: bool = option(False, "policy", "turn every training episode by a random angle (the augmentation baseline)")
    mirror_loss: float = option(
        0.0,
        "policy",
        "weight of a loss that pulls the policy towards the symmetry (the mirror loss baseline)",
        metavar="COEF",
    )
    prior: list[str] | None = option(
        None,
        "policy",
        "soft symmetry priors, for instance mirror_loss or 'regulariser:{strength:0.3}'",
        metavar="NAME[:{K:V}]",
    )
    n_timesteps: int | None = option(None, "training", "environment steps in all", "-n", metavar="STEPS")
    n_envs: int | None = option(None, "training", "environments that are stepped together", metavar="N")
    vec_env: Literal["auto", "dummy", "ray"] = option(
        "auto",
        "training",
        "dummy steps eqrl's environments one by one in Stable-Baselines3's DummyVecEnv (slow); ray shares them out to"
        " processes, on several machines if RAY_ADDRESS names a cluster",
    )
    shards: int | None = option(
        None, "training", "processes of --vec-env ray (default: one a core); no number depends on it", metavar="N"
    )
    hyperparams: dict[str, Any] = option(
        {},
        "training",
        "arguments of the algorithm, for instance learning_rate:3e-4; 'normalize:{norm_reward:true}' scales rewards",
        "-params",
        metavar="K:V",
    )
    seed: int = option(0, "training", "seed of everything random; a negative one is drawn and printed")
    num_threads: int | None = option(
        None, "training", "threads for simulation and PyTorch (default: all cores)", metavar="N"
    )
    device: str = option("auto", "training", "PyTorch device")
    on_divergence: Literal["stop", "reset"] = option(
        "stop",
        "training",
        "what to do when the physics of an environment diverges: stop the run, or reset that one and go on",
    )
    progress: bool = option(True, "training", "show progress", "-P")
    eval_freq: int | None = option(
        None, "evaluation", "steps between evaluations (default: a tenth of the run; 0: never)", metavar="STEPS"
    )
    eval_episodes: int = option(20, "evaluation", "episodes of an evaluation", metavar="N")
    eval_env_kwargs: dict[str, Any] = option(
        {}, "evaluation", "options of the environment in evaluations, on top of --env-kwargs", metavar="K:V"
    )
    rotations: int = option(12, "evaluation", "angles of the zero-shot evaluation at the end (0: none)", metavar="N")
    log_folder: str = option("logs", "files", "folder in which the run folder is made", "-f", metavar="FOLDER")
    tensorboard_log: str | None = option(
        None, "files", "folder for TensorBoard (default: in the run folder; off: none)", "-tb", metavar="FOLDER"
    )
    track: Literal["off", "trackio", "wandb", "mlflow"] = option(
        "off", "files", "tracker that gets all logged numbers too; each is an extra of the same name"
    )
    save_freq: int | None = option(
        None,
        "files",
        "steps between checkpoints (default: a twentieth of the run; 0: only at the end)",
        metavar="STEPS",
    )
    keep_checkpoints: int = option(3, "files", "newest checkpoints to keep, besides the best one (0: all)", metavar="N")

    def __post_init__(self) -> None:
        """Convert and check every value."""
        convert_options(self)
        self._read_stock_forms()
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"option {name!r}: {value} is too small, give at least {least}")
        if self.shards is not None and self.vec_env != "ray":
            raise UsageError(f"option 'shards': {self.shards} is for vec_env ray; give --vec-env ray or leave it out")

    def _read_stock_forms(self) -> None:
        """Accept ``policy_kwargs`` within ``hyperparams``, as in RL Zoo.

        Store classes of PyTorch by name, as files do.
        """
        elsewhere = self.hyperparams.get("policy_kwargs", {})
        if not isinstance(elsewhere, Mapping):
            raise UsageError(
                f"hyperparameter 'policy_kwargs': {elsewhere!r} does not hold options, give for instance {{net_arch:"
                " [64, 64]}"
            )
        kwargs = merged(self.policy_kwargs, elsewhere)
        for name in ("activation_fn", "optimizer_class"):
            if isinstance(kind := kwargs.get(name), type):
                kwargs[name] = kind.__name__
        rest = {name: value for name, value in self.hyperparams.items() if name != "policy_kwargs"}
        object.__setattr__(self, "policy_kwargs", kwargs)
        object.__setattr__(self, "hyperparams", rest)

    def replace(self, **changes: Any) -> Config:
        """The same configuration with some options changed."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Options as plain values for YAML or JSON; the inverse of :meth:`from_dict`."""
        return {f.name: plain(getattr(self, f.name)) for f in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str = "the configuration") -> Config:
        """Build a configuration from option names and plain values; ``-`` and ``_`` are equivalent.

        Args:
            values: options that differ from their default.
            source: name of the origin of the values in error messages.

        Raises:
            UsageError: for an unknown option, naming the closest one, or a wrong value.
        """
        return cls(**known_options(cls, values, source))

    def with_preset(self, preset: Mapping[str, Any]) -> Config:
        """Fill options that are None, and hyperparameters that are not given, from a preset.

        Args:
            preset: options of this class; all other keys are arguments of the algorithm.
        """
        given = {name: value for name, value in self.to_dict().items() if value is not None}
        preset = _without_widths(preset) if "net_arch" in self.policy_kwargs else preset
        rest = {name: value for name, value in preset.items() if name not in hints(Config)}
        layer = {name: value for name, value in preset.items() if name not in rest}
        return Config(**merged(layer, {"hyperparams": rest}, given))


# The job of ``eqrl train`` without arguments. Goals and headings lie in one sector, so that the rotated worlds of the
# final evaluation are new to the agent.
DEFAULT_JOB: Mapping[str, Any] = {
    "env": "eqrl/AntTarget-v0",
    # the bonus for arriving is larger than by default: an agent that is only fast falls over in one of twenty episodes
    "env_kwargs": {"target_sector": [-15, 15], "heading": [-15, 15], "success_bonus": 30.0},
    "network": "regular",
    "n_timesteps": 400_000,
}


def _without_widths(preset: Mapping[str, Any]) -> dict[str, Any]:
    """A preset that leaves the widths of the networks to ``net_arch``."""
    kwargs = dict(preset.get("policy_kwargs") or {})
    for name in ("network_kwargs", "critic_kwargs"):
        if isinstance(kwargs.get(name), Mapping):
            kwargs[name] = {option: value for option, value in kwargs[name].items() if option != "hidden"}
    return {**preset, "policy_kwargs": kwargs}


def convert_options(instance: Any) -> None:
    """Convert every option of a frozen dataclass to its type; for ``__post_init__``.

    Raises:
        UsageError: naming the option.
    """
    for name, hint in hints(type(instance)).items():
        try:
            object.__setattr__(instance, name, convert(getattr(instance, name), hint))
        except ConversionError as error:
            raise UsageError(f"option {name!r}: {error}") from None


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Merge options: later layers win, and tables such as ``env_kwargs`` are merged key by key at every depth."""
    total: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            known = total.get(name)
            if isinstance(known, Mapping) and isinstance(value, Mapping):
                total[name] = merged(known, value)
            else:
                total[name] = value
    return total


def hints(cls: type) -> Mapping[str, Any]:
    """Types of the options of a dataclass."""
    return get_type_hints(cls)


def known_options(cls: type, values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The values by option name; a key that is not an option of the dataclass is refused.

    Raises:
        UsageError: naming the key, its origin and the closest option.
    """
    names = hints(cls)
    options = {}
    for key, value in values.items():
        name = str(key).replace("-", "_")
        if name not in names:
            hint = hyperparameter_hint(name, names, "hyperparams: {{{0}: ...}}") if cls is Config else None
            raise UsageError(f"unknown option {str(key)!r} in {source}; {hint or suggestion(name, names)}")
        options[name] = value
    return options


def hyperparameter_hint(word: str, options: Iterable[str], form: str) -> str | None:
    """A clause for a hyperparameter that was given as an option, or None if the word is closer to an option.

    Args:
        word: what the user wrote.
        options: the valid options.
        form: how to give a hyperparameter, with ``{0}`` for its name.
    """
    from eqrl.runs.algorithms import ALGORITHMS, known_hyperparams  # a heavy import, needed for errors only

    word = word.replace("-", "_")
    arguments = set().union(*map(known_hyperparams, ALGORITHMS))
    option_names = {option.lstrip("-").replace("-", "_") for option in options}
    close = get_close_matches(word, sorted(arguments | option_names), n=1, cutoff=0.6)
    if not close or close[0] in option_names:
        return None
    meant = "it is" if close[0] == word else f"did you mean {close[0]!r}? That is"
    return f"{meant} an argument of the algorithm: write {form.format(close[0])}"


def read_config_file(path: str | Path) -> dict[str, Any]:
    """Read options from a ``.yaml``, ``.toml`` or ``.json`` file; nothing in the file is executed.

    Raises:
        UsageError: if the file is missing, of another kind, broken, too large, or not a table of options.
    """
    path = Path(path)
    values = read_plain_file(path, "configuration file")
    if not isinstance(values, Mapping):
        raise UsageError(f"configuration file {path} does not hold options; write for instance 'algo: ppo'")
    return known_options(Config, values, str(path))
