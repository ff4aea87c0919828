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


def two_free_bodies(second="", between=""):
    box = '<geom type="box" size=".2 .1 .05"/>'
    return mujoco.MjModel.from_xml_string(
        f"""<mujoco><worldbody><site name="world"/>
        <body name="a" pos="0 0 1"><freejoint/>{box}<site name="sa" pos=".2 .1 0"/></body>
        <body name="b" pos="2 0 1"><joint type="free" {second}/>{box}<site name="sb"/></body></worldbody>
        {between}</mujoco>"""
    )


def test_a_torque_on_any_free_body_comes_from_outside():
    assert noether_test(two_free_bodies()).holds
    assert not noether_test(two_free_bodies(second='damping="2"')).holds


@pytest.mark.parametrize(
    ("between", "holds"),
    [
        ('<equality><connect body1="a" body2="b" anchor="1 0 0"/></equality>', True),
        ('<equality><weld body1="a" body2="b"/></equality>', True),
        ('<equality><weld body1="b"/></equality>', False),
        ('<tendon><spatial stiffness="50"><site site="sa"/><site site="sb"/></spatial></tendon>', True),
        ('<tendon><spatial stiffness="50"><site site="sa"/><site site="world"/></spatial></tendon>', False),
    ],
)
def test_ties_to_the_world_are_torques_from_outside_and_those_between_free_bodies_are_not(between, holds):
    assert noether_test(two_free_bodies(between=between)).holds is holds


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"timesteps": ()}, "at least two"),
        ({"timesteps": (0.003,)}, "at least two"),
        ({"timesteps": (0.003, 0.003)}, "fall"),
        ({"timesteps": (0.004, 0.002)}, "divide 0.03"),
        ({"timesteps": (0.06, 0.003)}, "divide 0.03"),
        ({"duration": 0.01}, "duration=0.01: give at least 0.03"),
    ],
)
def test_step_sizes_and_durations_that_tell_nothing_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        noether_test(two_free_bodies(), **options)
