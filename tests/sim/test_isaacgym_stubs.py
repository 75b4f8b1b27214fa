"""Names and signatures of the fake, and what the adapter calls, against the published stubs.

`isaacgym-stubs` describes the closed module for editors. It is no module to import, and a method
called `lambda` makes it a syntax error, so its text is read and mended here.
"""

import ast
import inspect
from functools import cache
from importlib.metadata import files
from pathlib import Path

import pytest

from acclimate_sim.engines import isaacgym
from acclimate_sim.engines.isaacgym.fake import gymapi

ADAPTER = Path(inspect.getfile(isaacgym)).parent
STRUCTS = (
    "AssetOptions",
    "Mat33",
    "PhysXParams",
    "PlaneParams",
    "Quat",
    "RigidBodyProperties",
    "SimParams",
    "Tensor",
    "Transform",
    "Vec3",
)
ENUMS = ("CoordinateSpace", "IndexDomain", "SimType", "TensorDataType", "UpAxis")
OFFERED = [name for name in vars(gymapi.Gym) if not name.startswith("_")]


@cache
def stub() -> ast.Module:
    (path,) = (f for f in files("isaacgym-stubs") or [] if f.name == "gymapi.pyi")
    return ast.parse(path.read_text(encoding="utf-8").replace("def lambda(", "def lambda_("))


@cache
def stub_class(name: str) -> ast.ClassDef:
    (found,) = (n for n in stub().body if isinstance(n, ast.ClassDef) and n.name == name)
    return found


def fields(name: str) -> set[str]:
    """Fields and properties of a class of the stub."""
    body = stub_class(name).body
    annotated = {n.target.id for n in body if isinstance(n, ast.AnnAssign)}
    return annotated | {n.name for n in body if isinstance(n, ast.FunctionDef)}


def plain(annotation: str) -> str:
    """Spell a type as the stub would, without what says that None is fine."""
    return annotation.replace("List[", "list[").replace(" | None", "").strip("'\"")


@cache
def stub_signature(method: str) -> inspect.Signature:
    """Signature of a method of the stub's Gym; names like arg0 stand for unnamed arguments."""
    (found,) = (
        n for n in stub_class("Gym").body if isinstance(n, ast.FunctionDef) and n.name == method
    )
    arguments = found.args.args
    required = len(arguments) - len(found.args.defaults)
    parameters = [
        inspect.Parameter(
            a.arg,
            inspect.Parameter.POSITIONAL_ONLY
            if a.arg.startswith("arg") or a.arg == "self"
            else inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=inspect.Parameter.empty if i < required else ...,
            annotation=plain(ast.unparse(a.annotation)) if a.annotation else "",
        )
        for i, a in enumerate(arguments)
    ]
    returns = ast.unparse(found.returns) if found.returns else ""
    return inspect.Signature(parameters, return_annotation=plain(returns))


def calls_of_adapter() -> list[tuple[str, ast.Call]]:
    """Every call of a method of a `gym`, by its name."""
    found = []
    for path in sorted(ADAPTER.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = ast.unparse(node.func.value)
                if owner in {"gym", "self.gym"}:
                    found.append((node.func.attr, node))
    return found


def attributes_of_adapter(owner: str) -> set[str]:
    """Every attribute of a variable of this name."""
    nodes = [
        node for path in ADAPTER.glob("*.py") for node in ast.walk(ast.parse(path.read_text()))
    ]
    return {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in {owner, f"self.{owner}"}
    }


@pytest.mark.parametrize("method", OFFERED)
def test_the_fake_has_the_real_signatures(method: str) -> None:
    ours = inspect.signature(getattr(gymapi.Gym, method))
    theirs = stub_signature(method)
    assert len(ours.parameters) == len(theirs.parameters)
    for mine, real in zip(
        list(ours.parameters.values())[1:], list(theirs.parameters.values())[1:], strict=True
    ):
        assert mine.kind == real.kind
        if real.kind is not inspect.Parameter.POSITIONAL_ONLY:
            assert mine.name == real.name
        assert (mine.default is inspect.Parameter.empty) == (
            real.default is inspect.Parameter.empty
        )
        assert plain(str(mine.annotation)) == real.annotation
    # The stub says object where the binding lost the type.
    assert theirs.return_annotation in {plain(str(ours.return_annotation)), "object"}


def test_the_adapter_calls_what_exists_with_arguments_that_fit() -> None:
    calls = calls_of_adapter()
    assert len({name for name, _ in calls}) >= 15
    for name, call in calls:
        keywords = {k.arg: None for k in call.keywords if k.arg}
        # A starred argument stands for three sizes of a box.
        count = sum(3 if isinstance(a, ast.Starred) else 1 for a in call.args)
        stub_signature(name).bind(None, *[None] * count, **keywords)
        assert name in OFFERED


@pytest.mark.parametrize("name", STRUCTS)
def test_structs_have_no_field_of_our_own(name: str) -> None:
    struct = getattr(gymapi, name)
    ours = {f for f in struct.__slots__ if not f.startswith("_")}
    assert ours <= fields(name)
    assert ours


@pytest.mark.parametrize("name", ENUMS)
def test_enums_have_the_real_members(name: str) -> None:
    assert set(getattr(gymapi, name).__members__) <= fields(name)


def test_the_module_has_only_real_names() -> None:
    top = {n.target.id for n in stub().body if isinstance(n, ast.AnnAssign)}
    top |= {n.name for n in stub().body if isinstance(n, ast.ClassDef | ast.FunctionDef)}
    assert set(gymapi.__all__) <= top
    used = attributes_of_adapter("gymapi")
    assert {"acquire_gym", "LOCAL_SPACE", "SimParams"} <= used <= top


def test_the_adapter_sets_only_fields_that_exist() -> None:
    """The fake would notice as well; this holds the adapter to the stub itself."""
    assert attributes_of_adapter("options") <= fields("AssetOptions")
    assert attributes_of_adapter("params") <= fields("SimParams")
    assert attributes_of_adapter("params.physx") <= fields("PhysXParams")
    assert {"mass", "inertia"} <= attributes_of_adapter("properties")
    assert attributes_of_adapter("matrix") == fields("Mat33") & {"x", "y", "z"}
    assert attributes_of_adapter("properties") <= fields("RigidBodyProperties")


def test_shapes_and_numbers_in_the_stub_are_what_the_adapter_expects() -> None:
    (acquire,) = (
        n
        for n in stub_class("Gym").body
        if isinstance(n, ast.FunctionDef) and n.name == "acquire_actor_root_state_tensor"
    )
    assert "(num_actors, 13)" in (ast.get_docstring(acquire) or "")
