"""A robot dog with twelve joints, made of the primitive shapes, motors and sensors that published models have."""

_LEG = """
<body name="{leg}_hip" pos="{x} {y} 0">
  <inertial pos="0 {s}0.002 0" mass="0.68" diaginertia="0.00048 0.00088 0.0006"/>
  <joint name="{leg}_hip_joint" class="abduction"/>
  <geom class="collision" size="0.046 0.02" type="cylinder" pos="0 {s}0.08 0" quat="1 1 0 0"/>
  <body name="{leg}_thigh" pos="0 {s}0.0955 0">
    <inertial pos="-0.004 {o}0.022 -0.033" mass="1.15" diaginertia="0.0059 0.0058 0.001"/>
    <joint name="{leg}_thigh_joint" class="thigh"/>
    <geom class="collision" size="0.11 0.0123 0.017" type="box" pos="0 0 -0.1065" quat="0.70711 0 0.70711 0"/>
    <body name="{leg}_calf" pos="0 0 -0.213">
      <inertial pos="0.0055 0 -0.14" mass="0.24" diaginertia="0.003 0.003 0.00004"/>
      <joint name="{leg}_calf_joint" class="calf"/>
      <geom class="collision" size="0.012 0.06" type="cylinder" pos="0.008 0 -0.06"/>
      <geom class="collision" size="0.011 0.0325" type="cylinder" pos="0.02 0 -0.148" quat="0.999688 0 0.0249974 0"/>
      <geom name="{leg}" class="foot" pos="-0.002 0 -0.213"/>
      <site name="{leg}_foot" pos="-0.002 0 -0.213" size="0.03"/>
    </body>
  </body>
</body>"""

_ROBOT = """<mujoco model="dog">
<option cone="elliptic" impratio="100" {option}/>
<default>
  <joint damping="0.1" armature="0.01" frictionloss="{friction}"/>
  <default class="abduction"><joint axis="1 0 0" range="-60 60"/></default>
  <default class="thigh"><joint axis="0 1 0" range="-90 200"/></default>
  <default class="calf"><joint axis="0 1 0" range="-156 -48"/></default>
  <default class="collision"><geom group="3" friction="0.6"/></default>
  <default class="foot"><geom type="sphere" size="0.022" condim="6" friction="0.8 0.02 0.01" priority="1"/></default>
</default>
<worldbody>
  <geom name="floor" type="plane" size="0 0 1"/>
  <body name="base" pos="0 0 0.445">
    <inertial pos="0.02 0 -0.005" mass="6.9" diaginertia="0.025 0.1 0.107"/>
    <freejoint name="root"/>
    <geom class="collision" size="0.19 0.047 0.057" type="box"/>
    <geom class="collision" size="0.05 0.045" type="cylinder" pos="0.285 0 0.01"/>
    <geom class="collision" size="0.047" pos="0.293 0 -0.06"/>
    <site name="imu"/>
    {legs}
  </body>
</worldbody>
<actuator>{motors}</actuator>
<sensor>
  <gyro name="gyro" site="imu"/><accelerometer name="accelerometer" site="imu"/>
    <framequat name="orientation" objtype="site" objname="imu"/>
  {sensors}
</sensor>
</mujoco>"""


def robot_dog(option="", friction="0.2"):
    """The model as MJCF; ``friction`` is the dry friction of the twelve hinges."""
    legs = {"FL": (0.1934, 0.0465), "FR": (0.1934, -0.0465), "RL": (-0.1934, 0.0465), "RR": (-0.1934, -0.0465)}
    joints = [f"{leg}_{part}_joint" for leg in legs for part in ("hip", "thigh", "calf")]
    reach = {"hip": 23.7, "thigh": 23.7, "calf": 45.4}
    return _ROBOT.format(
        option=option,
        friction=friction,
        legs="".join(
            _LEG.format(leg=leg, x=x, y=y, s="" if y > 0 else "-", o="-" if y > 0 else "")
            for leg, (x, y) in legs.items()
        ),
        motors="".join(
            f'<motor name="{j}" joint="{j}" ctrlrange="-{reach[j.split("_")[1]]} {reach[j.split("_")[1]]}"/>'
            for j in joints
        ),
        sensors="".join(f'<jointpos name="{j}_pos" joint="{j}"/><jointvel name="{j}_vel" joint="{j}"/>' for j in joints)
        + "".join(f'<touch name="{leg}_touch" site="{leg}_foot"/>' for leg in legs),
    )
