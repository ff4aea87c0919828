"""A range finder looks along the third axis of its site: only one that looks along the image of that is an image."""

import mujoco
import pytest

from eqrl import derive, verify

ROBOT = """
<mujoco><option cone="elliptic"/><worldbody><geom type="plane" size="0 0 1"/>
<body name="trunk" pos="0 0 .4"><freejoint/><geom type="box" size=".2 .1 .05"/><geom size=".04" pos=".2 0 .05"/>
  <site name="left" pos="0 .1 0" zaxis="{left}"/><site name="right" pos="0 -.1 0" zaxis="{right}"/>
  <body pos=".1 .1 0"><joint axis="1 0 0" damping=".1"/><geom type="capsule" fromto="0 0 0 0 .1 -.2" size=".03"/></body>
  <body pos=".1 -.1 0"><joint axis="1 0 0" damping=".1"/><geom type="capsule" fromto="0 0 0 0 -.1 -.2" size=".03"/>
    </body>
</body></worldbody><sensor><rangefinder name="l" site="left"/><rangefinder name="r" site="right"/></sensor></mujoco>
"""


@pytest.mark.parametrize(
    ("left", "right", "image"),
    [
        ("0 1 0", "0 -1 0", [1, 0]),
        ("0.3 0.2 -1", "0.3 -0.2 -1", [1, 0]),
        ("0 0 -1", "0 0 -1", [1, 0]),
        ("0 1 0", "0 1 0", [-1, -1]),
        ("0 0 -1", "0 0 1", [-1, -1]),
        ("0.3 0.2 -1", "0.3 -0.2 -0.9", [-1, -1]),
    ],
)
def test_images_of_range_finders(left, right, image):
    model = mujoco.MjModel.from_xml_string(ROBOT.format(left=left, right=right))
    derivation = derive(model)
    (mirror,) = derivation.dynamic
    assert mirror.sensors.tolist() == image
    assert any("readings" in note for note in derivation.notes) is (image == [-1, -1])
    assert verify(model, derivation, states=8).holds
