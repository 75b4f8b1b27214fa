"""Pictures of a multirotor near its target, drawn by MuJoCo without a display."""

# pyright: reportAttributeAccessIssue=false, reportCallIssue=false, reportArgumentType=false
# (MuJoCo's bindings come without type information.)

import atexit

import mujoco
import numpy as np

from acclimate_sim.envs.opengl import make_context
from acclimate_sim.multirotor import MultirotorParameters, MultirotorState
from acclimate_sim.multirotor.task import MAX_DISTANCE_ARMS
from acclimate_sim.rotations import rotation_matrix

WIDTH, HEIGHT = 640, 480
STAGE = f"""
<mujoco>
  <visual>
    <global offwidth="{WIDTH}" offheight="{HEIGHT}"/>
    <map znear="0.001"/>
    <headlight ambient="0.4 0.4 0.4" diffuse="0.5 0.5 0.5"/>
  </visual>
  <asset>
    <texture type="skybox" builtin="gradient" rgb1="0.75 0.83 0.92" rgb2="1 1 1"
             width="64" height="64"/>
    <texture name="tiles" type="2d" builtin="checker" rgb1="0.9 0.9 0.88" rgb2="0.8 0.8 0.78"
             width="128" height="128"/>
    <material name="tiles" texture="tiles" texrepeat="1 1" texuniform="true"/>
  </asset>
  <worldbody>
    <light pos="0 0 10" directional="true" diffuse="0.4 0.4 0.4"/>
    <geom type="plane" size="0 0 1" pos="0 0 -1" material="tiles"/>
  </worldbody>
</mujoco>
"""
GROUND, SPAN = 0, 2.2
"""Index of the ground among the stage's shapes (compiled away from its body: at it, MuJoCo would
not read its position again); distance of the camera over what it must show."""
FRONT, BACK, DISC = (0.85, 0.25, 0.1, 1.0), (0.2, 0.2, 0.25, 1.0), (0.3, 0.3, 0.35, 0.45)
TARGET = (0.1, 0.5, 0.9, 0.6)
ROTOR_RADIUS, THICKNESS = 0.5, 0.06
"""Over the arm's length."""


class Renderer:
    """Draws one robot at a time; the tiles lie where a robot that falls is out of limits.

    The camera looks from the south west and keeps robot and target, a blue ball, in the picture.

    Raises:
        SimulationError: Nothing on this machine can draw without a display.
    """

    def __init__(self) -> None:
        self._gl, self._closed = make_context(WIDTH, HEIGHT), False
        self._model = mujoco.MjModel.from_xml_string(STAGE)
        self._data = mujoco.MjData(self._model)
        self._scene = mujoco.MjvScene(self._model, maxgeom=100)
        self._camera, self._options = mujoco.MjvCamera(), mujoco.MjvOption()
        self._camera.azimuth, self._camera.elevation = 45.0, -20.0
        self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        # Freed after the display it belongs to, it would end the process with an error message.
        atexit.register(self.close)

    def draw(self, robot: MultirotorParameters, state: MultirotorState) -> np.ndarray:
        """Picture (480, 640, 3) uint8 of a batch of one."""
        self._gl.make_current()
        arm_m = float(robot.arm_length_m[0])
        position = state.position[0].double().cpu().numpy()
        self._set_stage(position, arm_m)
        self._add_robot(robot, state, position, arm_m)
        self._add(mujoco.mjtGeom.mjGEOM_SPHERE, (0.15 * arm_m,) * 3, np.zeros(3), TARGET)
        frame = mujoco.MjrRect(0, 0, WIDTH, HEIGHT)
        mujoco.mjr_render(frame, self._scene, self._context)
        picture = np.empty((HEIGHT, WIDTH, 3), np.uint8)
        mujoco.mjr_readPixels(picture, None, frame, self._context)
        return np.ascontiguousarray(picture[::-1])  # OpenGL counts rows from below

    def close(self) -> None:
        """Give back what the graphics driver holds; drawing ends here."""
        atexit.unregister(self.close)
        if not self._closed:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
            self._closed = True

    def _set_stage(self, position: np.ndarray, arm_m: float) -> None:
        self._model.geom_pos[GROUND, 2] = -MAX_DISTANCE_ARMS * arm_m
        mujoco.mj_forward(self._model, self._data)
        self._camera.lookat[:] = 0.5 * position
        self._camera.distance = SPAN * (float(np.linalg.norm(position)) + 3.0 * arm_m)
        mujoco.mjv_updateScene(
            self._model,
            self._data,
            self._options,
            None,
            self._camera,
            mujoco.mjtCatBit.mjCAT_ALL.value,
            self._scene,
        )

    def _add_robot(
        self,
        robot: MultirotorParameters,
        state: MultirotorState,
        position: np.ndarray,
        arm_m: float,
    ) -> None:
        rotation = rotation_matrix(state.orientation)[0].double().cpu().numpy()
        motors = robot.motor_position_m[0].double().cpu().numpy()  # (4, 2)
        thick = THICKNESS * arm_m
        hub = (0.3 * arm_m, 0.2 * arm_m, 0.12 * arm_m)
        self._add(mujoco.mjtGeom.mjGEOM_ELLIPSOID, hub, position, BACK, rotation)
        disc = (ROTOR_RADIUS * arm_m, 0.1 * thick, 0.0)  # radius, half height
        for x, y in motors:
            motor = position + rotation @ np.array([x, y, 0.0])
            colour = FRONT if x > 0.0 else BACK
            arm = self._add(mujoco.mjtGeom.mjGEOM_CAPSULE, np.zeros(3), position, colour)
            mujoco.mjv_connector(arm, mujoco.mjtGeom.mjGEOM_CAPSULE.value, thick, position, motor)
            above = motor + rotation @ np.array([0.0, 0.0, 1.5 * thick])
            self._add(mujoco.mjtGeom.mjGEOM_CYLINDER, disc, above, DISC, rotation)

    def _add(
        self,
        shape: mujoco.mjtGeom,
        size: tuple[float, float, float] | np.ndarray,
        position: np.ndarray,
        colour: tuple[float, float, float, float],
        rotation: np.ndarray | None = None,
    ) -> mujoco.MjvGeom:
        """Add a shape to what the stage shows."""
        turn = np.eye(3) if rotation is None else rotation
        geom = self._scene.geoms[self._scene.ngeom]
        mujoco.mjv_initGeom(
            geom, shape.value, np.array(size), position, turn.flatten(), np.float32(colour)
        )
        self._scene.ngeom += 1
        return geom
