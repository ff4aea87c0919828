"""Discovery where the state can be set: a plane with a known wind, models with known differences."""

import gymnasium
import mujoco
import numpy as np
import pytest
import torch
from plane import MIRROR_Y
from windy_plane import WindyPlane

from eqrl.derivation import derive
from eqrl.discovery import Candidate, discover
from eqrl.discovery.candidates import candidates_of_group, candidates_of_model
from eqrl.discovery.discover import of_derivation
from eqrl.symmetry import Element, about_gravity

SHEAR = Element(torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64))


def tried_in(wind, accept=0.05):
    env = WindyPlane(wind)
    extra = [
        Candidate("rotation by 0.7", "undeclared", about_gravity(0.7), claimed=False),
        Candidate("shear", "decoy", SHEAR, claimed=False),
    ]
    known = [c for c in candidates_of_group(env.observation_space.representation.group) if "gravity" not in c.name]
    return discover(env, [*known, *extra], accept=accept)


def test_all_true_ones_and_no_decoy_without_wind():
    found = tried_in(0.0)
    for name in ("quarter turn", "mirror x -> -x", "mirror y -> -y", "rotation by 0.7"):
        assert found[name].measured.residual <= 3e-15
        assert found[name].weight == 1.0
    assert found["shear"].measured.residual > 0.3
    assert found["shear"].weight < 0.05
    assert found.holds
    assert discover(WindyPlane(), transitions=16).name == "SO2 x C2"


def test_wind_leaves_only_its_mirror():
    found = tried_in(0.2)
    assert found.generators == ("mirror y -> -y",)
    assert (found.name, found.order) == ("C2", 2)
    assert not found.holds  # C4 is declared
    sizes = {t.name: t.measured.residual for t in found.tried}
    # the mirror x turns the wind round, a quarter turn moves it by sqrt(2), a turn by 0.7 by 2 sin(0.35)
    assert sizes["quarter turn"] == pytest.approx(sizes["mirror x -> -x"] / 2, rel=1e-6)
    assert 0.7 < sizes["quarter turn"] < 1.0
    assert 0.3 < sizes["rotation by 0.7"] < 0.6


def test_residual_is_proportional_to_the_breaking_and_the_tolerance_floor_decides():
    weak, strong = tried_in(0.02), tried_in(0.2)
    assert weak["quarter turn"].measured.residual == pytest.approx(
        strong["quarter turn"].measured.residual / 10, rel=0.1
    )
    assert weak["quarter turn"].measured.holds is False
    tolerant = tried_in(0.02, accept=0.2)
    assert tolerant["quarter turn"].measured.holds is True
    assert tolerant["quarter turn"].weight == 1.0
    assert tolerant.holds


def test_products_are_tested_again_and_given_up_where_breakings_add_up():
    # each of two mirrors may break the world by the accepted size; their product breaks it by more
    class Leaning(WindyPlane):
        def step(self, action):
            x, v, goal = np.split(self.state, 3)
            v = 0.8 * v + 0.3 * np.asarray(action, dtype=np.float64) + self.wind
            self.state = np.concatenate([x + 0.3 * v, v, goal])
            return self.observe(), 0.0, False, False, {}

    candidates = [c for c in candidates_of_group(MIRROR_Y) if c.name in ("mirror y", "mirror x -> -x")]
    both = discover(Leaning(0.02), candidates, accept=0.3)
    product = next(t for t in both.products)
    single = max(t.measured.residual for t in both.tried)
    assert product.measured.residual >= single
    one = discover(Leaning(0.02), candidates, accept=0.5 * (single + product.measured.residual))
    if product.measured.residual > single:
        assert len(one.generators) == 1
        assert any("given up" in note for note in one.notes)


HUMANOID = f"{gymnasium.__path__[0]}/envs/mujoco/assets/humanoid.xml"


@pytest.fixture(scope="module")
def humanoid():
    return derive(HUMANOID)


def test_near_miss_of_the_humanoid_holds_up_to_a_percent(humanoid):
    found = of_derivation(humanoid, accept=0.05, transitions=24)
    mirror = found["sagittal mirror"]
    assert mirror.kind == "near miss"
    assert 1e-3 < mirror.measured.residual < 0.03
    assert mirror.measured.holds
    assert found["rotation about x"].measured.residual > 0.5
    strict = of_derivation(humanoid, accept=1e-6, transitions=24)
    assert "sagittal mirror" not in strict.generators


def test_the_mirror_is_exact_where_the_differences_are_equalised(humanoid):
    spec, _ = humanoid.symmetrise()
    found = of_derivation(derive(spec), accept=1e-6, transitions=8)
    assert "sagittal mirror" in found.generators
    assert found["sagittal mirror"].measured.residual < 1e-7


def test_decoys_of_a_model_reverse_a_joint():
    names = [c.name for c in candidates_of_model(derive(HUMANOID.replace("humanoid", "reacher")))]
    assert "sagittal mirror, joint0 reversed" in names
    found = discover(HUMANOID.replace("humanoid", "reacher"), transitions=16)
    assert found["sagittal mirror, joint0 reversed"].measured.residual > 0.3
    assert found.generators == ("sagittal mirror",)


def test_what_has_no_symmetry_is_trivial():
    model = mujoco.MjModel.from_xml_string(
        "<mujoco><worldbody><body><joint axis='1 2 3'/>"
        "<geom type='box' size='.1 .2 .3' pos='.3 .2 .1' euler='10 20 30'/></body></worldbody></mujoco>"
    )
    found = discover(model, transitions=4)
    assert (found.name, found.order, found.tried) == ("1", 1, ())


def test_a_world_without_state_is_refused():
    with pytest.raises(TypeError, match="discover_in_data"):
        discover(gymnasium.make("CartPole-v1"))
