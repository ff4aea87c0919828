"""The first second of a benchmark's run: its command line is read, and its environment and model are made."""

import warnings
from contextlib import closing, contextmanager

from eqrl.commands.options import Parser, add_options
from eqrl.runs.config import Config
from eqrl.runs.environments import make_env
from eqrl.runs.models import make_model
from eqrl.runs.resolution import resolve


@contextmanager
def begun(command, n_envs):
    """Configuration, environment and model of ``eqrl train ...``, with few environments."""
    parser = Parser("eqrl train", "")
    add_options(parser, Config)
    _, *argv = command
    config = resolve(Config.from_dict({**parser.read(argv), "n_envs": n_envs}, "the command line"))
    with closing(make_env(config, n_envs)) as env:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "You have specified a mini-batch size")  # of few environments
            model = make_model(config, env)
        yield config, env, model
