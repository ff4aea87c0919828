"""Every kind of run of the breaking benchmark can begin, and a pupil waits for its teacher."""

from __future__ import annotations

import json

import breaking_jobs
import pytest
from begun_jobs import begun
from breaking_jobs import HUMANOID, METHODS, WORLDS, Job, command_of, finish, jobs_of

from eqrl.agents import priors_of

JOBS = [job for world in (WORLDS["wind-0.5"], HUMANOID) for job in jobs_of(world, tuple(METHODS), [0])]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_job_can_begin(job, tmp_path):
    with begun(command_of(job, tmp_path), n_envs=2) as (config, _, model):
        assert [prior.name for prior in priors_of(model)] == [word.split(":")[0] for word in config.prior or ()]
        assert bool(model.policy.group.generators) == (job.method == "exact")


def test_the_near_miss_declares_its_mirror():
    assert {job.method for job in JOBS if job.task is HUMANOID} == {*METHODS} - {"orbit advantage"}


def test_a_pupil_learns_from_the_exact_run_of_its_world(monkeypatch, tmp_path):
    """The teacher is trained first, in a folder of its own, and only once."""
    begun = []

    def call(arguments, log):
        begun.append(arguments)
        if arguments[0] == "train":
            (log.parent / "ppo/run_1/checkpoints/step_1").mkdir(parents=True)
        else:
            log.with_name("numbers.json").write_text(json.dumps({}))

    monkeypatch.setattr(breaking_jobs, "call", call)
    pupil = Job(HUMANOID, "distil", 3)
    finish(pupil, tmp_path)
    teacher = tmp_path / "humanoid/exact/seed3/ppo/run_1"
    trained = [arguments for arguments in begun if arguments[0] == "train"]
    assert trained[0][5:7] == ["--network", "regular"]
    assert f"distil:{{teacher:{teacher}}}" in trained[1]
    assert "group:SO2}" in command_of(Job(WORLDS["exact"], "distil", 3), tmp_path)[8]
    finish(Job(HUMANOID, "exact", 3), tmp_path)
    assert len(begun) == 4
