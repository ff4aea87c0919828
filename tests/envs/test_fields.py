"""Fields of a task over entity sets with padded slots."""

from eqrl.envs.core.fields import representation_over
from eqrl.symmetry import SO2, EntitySet, Field

LEGS = EntitySet("legs", ("leg",) * 4, mask="real")
EYES = EntitySet("eyes", ("eye",) * 2)


def test_a_set_is_masked_where_its_mask_is_a_field():
    observation = representation_over(
        (Field("real", "1x0e", entities="legs"), Field("hip", "1x0e", entities="legs")), (LEGS, EYES), SO2
    )
    action = representation_over((Field("torque", "1x0e", entities="legs"),), (LEGS, EYES), SO2)
    assert observation.entities == (LEGS,)
    assert [(e.name, e.size, e.mask) for e in action.entities] == [("legs", 4, None)]
    assert observation.group == action.group == SO2
    assert representation_over((Field("goal", "1x1o"),), (LEGS, EYES)).entities == ()
