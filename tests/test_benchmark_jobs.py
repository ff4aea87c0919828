"""Every run of the manipulation benchmark can begin: its network fits the task, and its options are known."""

from __future__ import annotations

import warnings

import pytest
from manipulation_jobs import METHODS, command_of, jobs_of
from manipulation_tasks import TASKS

from eqrl.commands.options import Parser, add_options
from eqrl.runs.config import Config
from eqrl.runs.environments import make_env
from eqrl.runs.models import make_model
from eqrl.runs.resolution import resolve

JOBS = {
    (task.env, method): job for task in TASKS.values() for job in jobs_of(task, None, 1) for method in (job.method,)
}


@pytest.mark.parametrize("job", JOBS.values(), ids=lambda job: job.name)
def test_a_job_can_begin(job, tmp_path):
    parser = Parser("eqrl train", "")
    add_options(parser, Config)
    _, *argv = command_of(job, tmp_path)
    config = resolve(Config.from_dict({**parser.read(argv), "n_envs": 1}, "the command line"))
    env = make_env(config, 1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You have specified a mini-batch size")  # of the single environment
        model = make_model(config, env)
    assert model.policy.action_space == env.action_space
    env.close()


def test_all_methods_are_of_some_task():
    assert {job.method for job in JOBS.values()} == {*METHODS} - {"hetero, shared"}
