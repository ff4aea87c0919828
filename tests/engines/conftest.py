"""Ray for the tests: a stand-in, and the package itself where it is installed, which CI does not do."""

import os
from importlib.util import find_spec

import pytest
import ray_stand_in

from eqrl.engines.ray_session import connect


@pytest.fixture(scope="session")
def real_ray():
    if find_spec("ray") is None:  # to import it here would be too early: connect() says first where it listens
        pytest.skip("ray is not installed")
    before = dict(os.environ)
    ray = connect(6, "the tests")
    yield ray
    ray.shutdown()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(params=["stand-in", "ray"])
def ray(request, monkeypatch):
    """What the engines get when they ask for Ray."""
    if request.param == "ray":
        return request.getfixturevalue("real_ray")
    stand_in = ray_stand_in.Ray()
    for module in ("eqrl.engines.ray", "eqrl.tuning.on_ray"):
        monkeypatch.setattr(f"{module}.connect", lambda cpus, what: stand_in)
    return stand_in
