"""Pictures and videos without a display."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import RecordVideo
from gymnasium.wrappers.vector import RecordVideo as RecordVectorVideo

from acclimate_sim import envs
from acclimate_sim.engines.errors import SimulationError
from acclimate_sim.envs import opengl
from acclimate_sim.multirotor import InitialStates

ROOT = Path(__file__).parents[2]
STILL = InitialStates(at_rest_fraction=1.0)


@pytest.fixture
def _screen() -> None:
    try:
        opengl.working_way()
    except SimulationError as error:
        pytest.skip(str(error))


def make(**settings: Any) -> gymnasium.Env:
    return gymnasium.make(envs.QUADROTOR, render_mode="rgb_array", **settings)


def pixels(picture: np.ndarray, channel: int) -> np.ndarray:
    """Rows and columns (n, 2) of pixels of clearly one colour."""
    others = np.delete(picture.astype(int), channel, axis=2).max(axis=2)
    return np.argwhere(picture[..., channel] > others + 60)


@pytest.mark.usefixtures("_screen")
def test_a_picture_shows_the_robot_and_its_target() -> None:
    env = make(start=STILL)
    env.reset(seed=0)
    picture = env.render()
    assert isinstance(picture, np.ndarray)
    assert picture.shape == (480, 640, 3)
    assert picture.dtype == np.uint8
    red, blue = pixels(picture, 0), pixels(picture, 2)
    # At rest at its target, the robot is in the middle of the picture, its target inside it.
    assert len(red) > 50
    np.testing.assert_allclose(red.mean(0), (240, 320), atol=60)
    np.testing.assert_allclose(blue.mean(0), (240, 320), atol=10)
    env.close()


@pytest.mark.usefixtures("_screen")
def test_a_falling_robot_is_below_its_target() -> None:
    env = make(start=STILL)
    env.reset(seed=0)
    for _ in range(15):
        env.step(-np.ones(4, np.float32))
    picture = env.render()
    assert isinstance(picture, np.ndarray)
    assert pixels(picture, 0)[:, 0].min() > pixels(picture, 2)[:, 0].max()  # rows count downwards
    env.close()


@pytest.mark.usefixtures("_screen")
def test_each_environment_of_a_vector_has_its_picture() -> None:
    env = gymnasium.make_vec(envs.QUADROTOR, num_envs=3, render_mode="rgb_array")
    env.reset(seed=0)
    pictures = env.render()
    assert pictures is not None
    assert [picture.shape for picture in pictures] == [(480, 640, 3)] * 3
    assert (pictures[0] != pictures[1]).any()
    np.testing.assert_array_equal(pictures[2], env.render()[2])  # pyright: ignore[reportOptionalSubscript]
    env.close()


@pytest.mark.usefixtures("_screen")
def test_two_environments_draw_in_turn() -> None:
    first, second = make(), make()
    first.reset(seed=0)
    second.reset(seed=1)
    alone = first.render()
    assert (second.render() != alone).any()
    np.testing.assert_array_equal(first.render(), alone)
    first.close()
    second.render()
    second.close()


@pytest.mark.usefixtures("_screen")
def test_gymnasiums_checker_has_pictures_checked_too() -> None:
    check_env(make().unwrapped)


@pytest.mark.usefixtures("_screen")
@pytest.mark.parametrize("vector", [False, True])
def test_videos_are_recorded(vector: bool, tmp_path: Path) -> None:
    pytest.importorskip("moviepy")
    steps = 4
    if vector:
        robots = gymnasium.make_vec(envs.QUADROTOR, num_envs=2, render_mode="rgb_array")
        env = RecordVectorVideo(
            robots, str(tmp_path), video_length=steps, step_trigger=lambda t: t == 0
        )
    else:
        env = RecordVideo(make(), str(tmp_path), episode_trigger=lambda episode: episode == 0)
    env.reset(seed=0)
    for _ in range(steps):
        env.step(env.action_space.sample())
    env.close()
    (video,) = tmp_path.glob("*.mp4")
    import imageio.v3 as imageio

    frames = imageio.imread(video)
    assert len(frames) >= steps
    assert frames.std() > 5.0


def test_nothing_is_drawn_that_was_not_asked_for() -> None:
    env = gymnasium.make(envs.QUADROTOR)
    env.reset(seed=0)
    assert env.unwrapped.render() is None


@pytest.mark.usefixtures("_screen")
def test_an_environment_that_is_not_closed_ends_quietly() -> None:
    program = (
        f"import sys; sys.path[:0] = [{str(ROOT / 'sim')!r}, {str(ROOT / 'deploy')!r}]\n"
        "from acclimate_sim.envs.rendering import Renderer\n"
        "renderer = Renderer()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_machine_that_cannot_draw_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(opengl, "PROBE", "raise RuntimeError('no {way} here')")
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    opengl.working_way.cache_clear()
    message = (
        r"egl: RuntimeError: no egl here; osmesa: .* glfw: .*: nothing can be drawn. "
        "Fix: install .* libegl1 .* or leave render_mode out"
    )
    env = make()
    env.reset(seed=0)
    with pytest.raises(SimulationError, match=message):
        env.render()
    opengl.working_way.cache_clear()


def test_the_way_that_was_asked_for_is_the_only_one_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opengl, "PROBE", "raise RuntimeError('no {way} here')")
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    opengl.working_way.cache_clear()
    with pytest.raises(SimulationError, match=r"machine \(osmesa: RuntimeError: no osmesa here\)"):
        opengl.working_way()
    opengl.working_way.cache_clear()
