"""Every run of the manipulation benchmark can begin: its network fits the task, and its options are known."""

from __future__ import annotations

import pytest
from begun_jobs import begun
from manipulation_jobs import METHODS, command_of, jobs_of
from manipulation_tasks import TASKS

JOBS = {
    (task.env, method): job for task in TASKS.values() for job in jobs_of(task, None, 1) for method in (job.method,)
}


@pytest.mark.parametrize("job", JOBS.values(), ids=lambda job: job.name)
def test_a_job_can_begin(job, tmp_path):
    with begun(command_of(job, tmp_path), n_envs=1) as (_, env, model):
        assert model.policy.action_space == env.action_space


def test_all_methods_are_of_some_task():
    assert {job.method for job in JOBS.values()} == {*METHODS} - {"hetero, shared"}
