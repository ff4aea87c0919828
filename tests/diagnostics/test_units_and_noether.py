"""Dead and identical units, and the conservation of angular momentum."""

import gymnasium
import mujoco
import pytest
import torch

from eqrl.diagnostics import Functions, noether_test
from eqrl.diagnostics.plasticity import count, plasticity

HUMANOID = f"{gymnasium.__path__[0]}/envs/mujoco/assets/humanoid.xml"


def test_planted_units_are_counted(stock, sample):
    before = plasticity(Functions(stock), sample)
    assert before.units == 4 * 64
    assert (before.dead, before.identical) == (0, 0)
    state = {k: v.clone() for k, v in stock.policy.state_dict().items()}
    first = stock.policy.mlp_extractor.policy_net[0]
    with torch.no_grad():
        first.weight[3] = 0.0
        first.weight[10], first.bias[10] = first.weight[11], first.bias[11]
    after = plasticity(Functions(stock), sample)
    stock.policy.load_state_dict(state)
    assert (after.dead, after.identical) == (1, 1)


def test_scale_of_a_layer_does_not_matter():
    x = torch.randn((50, 6), generator=torch.Generator().manual_seed(0))
    x[:, 2], x[:, 4] = 1.5, x[:, 1]
    for scale in (1e-6, 1.0, 1e6):
        assert count(scale * x) == (6, 1, 1)
    assert count(torch.zeros((5, 3))) == (3, 3, 0)


@pytest.mark.parametrize(
    ("integrator", "order"), [("mjINT_RK4", 4.0), ("mjINT_EULER", 1.0), ("mjINT_IMPLICITFAST", 1.0)]
)
def test_angular_momentum_changes_by_the_order_of_the_integrator(integrator, order):
    model = mujoco.MjModel.from_xml_path(HUMANOID)
    result = noether_test(
        model, timesteps=(0.003, 0.0015, 0.00075), integrator=getattr(mujoco.mjtIntegrator, integrator)
    )
    assert result.order == pytest.approx(order, abs=0.3)
    assert result.holds
    assert model.opt.timestep == 0.003


def test_a_torque_from_outside_is_seen():
    model = mujoco.MjModel.from_xml_path(HUMANOID)
    model.opt.density, model.opt.viscosity = 10.0, 0.1
    result = noether_test(model, timesteps=(0.003, 0.0015), integrator=mujoco.mjtIntegrator.mjINT_RK4)
    assert not result.holds
    assert result.changes[-1] > 0.01


def test_what_cannot_fly_has_no_test():
    model = mujoco.MjModel.from_xml_path(HUMANOID.replace("humanoid", "reacher"))
    assert noether_test(model) is None
