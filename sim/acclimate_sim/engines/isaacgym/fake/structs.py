"""The structs of gymapi that single rigid bodies need.

Attributes that the fake does not know are refused, as by the real structs. Defaults are those of
the documentation where it has any, and otherwise such that who relies on them notices.
"""

import weakref

import torch

from acclimate_sim.engines.isaacgym.fake.enums import TensorDataType, UpAxis
from acclimate_sim.engines.isaacgym.fake.errors import IsaacGymError

DTYPES = {
    torch.float32: TensorDataType.DTYPE_FLOAT32,
    # The enum has no signed member of this size, and indices are int32 in every public task.
    torch.int32: TensorDataType.DTYPE_UINT32,
}


class Vec3:
    """A vector."""

    __slots__ = ("x", "y", "z")

    def __init__(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> None:
        self.x, self.y, self.z = x, y, z


class Quat:
    """A quaternion, order x y z w."""

    __slots__ = ("w", "x", "y", "z")

    def __init__(self, x: float = 0.0, y: float = 0.0, z: float = 0.0, w: float = 1.0) -> None:
        self.x, self.y, self.z, self.w = x, y, z, w


class Transform:
    """A pose: position in m and orientation."""

    __slots__ = ("p", "r")

    def __init__(self, p: Vec3 | None = None, r: Quat | None = None) -> None:
        self.p = p or Vec3()
        self.r = r or Quat()


class Mat33:
    """A matrix of three rows."""

    __slots__ = ("x", "y", "z")

    def __init__(self) -> None:
        self.x, self.y, self.z = Vec3(), Vec3(), Vec3()


class PhysXParams:
    """Settings of the solver; the fake takes them and has no use for them."""

    __slots__ = (
        "bounce_threshold_velocity",
        "contact_offset",
        "max_depenetration_velocity",
        "max_gpu_contact_pairs",
        "num_position_iterations",
        "num_threads",
        "num_velocity_iterations",
        "rest_offset",
        "solver_type",
        "use_gpu",
    )

    def __init__(self) -> None:
        self.solver_type = 1
        self.num_position_iterations = 4
        self.num_velocity_iterations = 1
        self.num_threads = 0
        self.use_gpu = False
        self.contact_offset = 0.02
        self.rest_offset = 0.0
        self.bounce_threshold_velocity = 0.2
        self.max_depenetration_velocity = 100.0
        self.max_gpu_contact_pairs = 1024 * 1024


class SimParams:
    """Settings of a sim; y is up unless told otherwise."""

    __slots__ = ("dt", "gravity", "physx", "substeps", "up_axis", "use_gpu_pipeline")

    def __init__(self) -> None:
        self.dt = 1.0 / 60.0
        self.substeps = 2
        self.up_axis = UpAxis.UP_AXIS_Y
        self.gravity = Vec3(0.0, -9.8, 0.0)
        self.use_gpu_pipeline = False
        self.physx = PhysXParams()


class PlaneParams:
    """A ground plane; the fake's stops what falls, without friction or rebound."""

    __slots__ = ("distance", "dynamic_friction", "normal", "restitution", "static_friction")

    def __init__(self) -> None:
        self.normal = Vec3(0.0, 1.0, 0.0)
        self.distance = 0.0
        self.static_friction = 1.0
        self.dynamic_friction = 1.0
        self.restitution = 0.0


class AssetOptions:
    """How bodies of an asset behave."""

    __slots__ = (
        "angular_damping",
        "density",
        "disable_gravity",
        "enable_gyroscopic_forces",
        "linear_damping",
        "max_angular_velocity",
        "max_linear_velocity",
    )

    def __init__(self) -> None:
        self.density = 1000.0
        self.disable_gravity = False
        self.linear_damping = 0.0
        self.angular_damping = 0.5
        self.max_linear_velocity = 1000.0
        self.max_angular_velocity = 64.0
        self.enable_gyroscopic_forces = False


class RigidBodyProperties:
    """Mass in kg, centre of mass in m and inertia in kg m^2, in the body's frame."""

    __slots__ = ("com", "inertia", "invInertia", "invMass", "mass")

    def __init__(self) -> None:
        self.mass = 1.0
        self.com = Vec3()
        self.inertia = Mat33()
        self.invMass = 1.0
        self.invInertia = Mat33()


class Tensor:
    """Where the numbers of a torch tensor lie; like the real one, it does not keep them alive."""

    __slots__ = ("_torch", "data_address", "device", "dtype", "own_data", "shape")

    def __init__(self) -> None:
        self.data_address = 0
        self.device = -1
        self.dtype = TensorDataType.DTYPE_FLOAT32
        self.own_data = False
        self.shape: tuple[int, ...] = ()
        self._torch: weakref.ref[torch.Tensor] | None = None

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @classmethod
    def describe(cls, tensor: torch.Tensor) -> "Tensor":
        """Describe a torch tensor without copying it; the fake's own way in.

        Raises:
            IsaacGymError: Gym has no such type, or the numbers do not lie side by side.
        """
        if tensor.dtype not in DTYPES:
            raise IsaacGymError(
                f"a tensor of {tensor.dtype} has no counterpart: Gym would read its bytes as "
                "something else. Fix: use float32, and int32 for indices."
            )
        if not tensor.is_contiguous():
            raise IsaacGymError(
                f"a tensor of strides {tensor.stride()} is not contiguous: Gym would read past "
                "its numbers. Fix: call contiguous() and keep the result."
            )
        described = cls()
        described.data_address = tensor.data_ptr()
        described.device = -1 if tensor.device.index is None else tensor.device.index
        described.dtype = DTYPES[tensor.dtype]
        described.shape = tuple(tensor.shape)
        described._torch = weakref.ref(tensor)
        return described

    def numbers(self) -> torch.Tensor:
        """Return the described tensor itself; the fake's own way out.

        Raises:
            IsaacGymError: Nobody kept it.
        """
        tensor = None if self._torch is None else self._torch()
        if tensor is None:
            raise IsaacGymError(
                "the tensor behind a handle no longer exists: Gym would read freed memory. "
                "Fix: keep the torch tensor in a variable until the call has returned."
            )
        return tensor
