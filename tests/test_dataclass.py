"""Our dataclasses do what those of the standard library do."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

import installguard
from installguard.dataclass import asdict, dataclass, field, replace

if TYPE_CHECKING:
    ours: Any = dataclasses
else:
    from installguard import dataclass as ours


def defined_by(module: Any) -> Any:
    """Return classes of every kind in use, as the *module* makes them."""

    class Kinds:
        @module.dataclass(frozen=True, slots=True, kw_only=True)
        class Point:
            """In a plane."""

            name: ClassVar[str] = "point"
            x: int
            y: int = 2
            tags: list[str] = module.field(default_factory=list)
            secret: str = module.field(default="s", repr=False)
            note: str = module.field(default="", compare=False)

            @property
            def sum(self) -> int:
                return self.x + self.y

        @module.dataclass(frozen=True, slots=True)
        class Pair:
            left: int
            right: tuple[int, ...] = ()

        @module.dataclass(slots=True)
        class Counter:
            count: int = 0

            def __post_init__(self) -> None:
                if self.count < 0:
                    raise ValueError("less than nothing")

        @module.dataclass(frozen=True, slots=True, kw_only=True)
        class Nothing:
            pass

    return Kinds


@pytest.fixture(params=[(dataclasses, 0), (ours, 0), (ours, 100)], ids=["dataclasses", "ours", "the first of ours"])
def kinds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    module, few = request.param
    monkeypatch.setattr("installguard.dataclass._FEW", few)
    return defined_by(module)


def test_an_instance_has_what_was_given_and_else_the_defaults(kinds: Any) -> None:
    point = kinds.Point(x=1)
    assert (point.x, point.y, point.tags, point.secret, point.sum, point.name) == (1, 2, [], "s", 3, "point")
    assert point.tags is not kinds.Point(x=1).tags
    assert kinds.Pair(1, (2,)).right == kinds.Pair(left=1, right=(2,)).right == (2,)
    assert kinds.Point.__doc__ == "In a plane."


@pytest.mark.parametrize(
    ("kind", "given", "values"),
    [
        ("Point", (), {}),
        ("Point", (1,), {}),
        ("Point", (), {"x": 1, "z": 2}),
        ("Pair", (1, 2, 3), {}),
        ("Pair", (), {}),
    ],
)
def test_wrong_arguments_are_refused_at_the_first_instance_and_later(
    kinds: Any, kind: str, given: tuple[int, ...], values: dict[str, int]
) -> None:
    for _ in range(2):
        with pytest.raises(TypeError, match=r"__init__\(\)"):
            getattr(kinds, kind)(*given, **values)


def test_instances_with_the_same_values_are_equal_and_of_the_same_hash(kinds: Any) -> None:
    one, same, other = (kinds.Pair(left, (2,)) for left in (1, 1, 3))
    assert one == same != other
    assert hash(one) == hash(same)
    assert one != (1, (2,))
    assert kinds.Nothing() == kinds.Nothing() != kinds.Pair(1)
    assert kinds.Point(x=1, note="a") == kinds.Point(x=1, note="b")
    assert kinds.Point(x=1, secret="a") != kinds.Point(x=1, secret="b")
    with pytest.raises(TypeError, match="unhashable"):
        hash(kinds.Counter())


def test_what_is_to_follow_the_first_values_follows(kinds: Any) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="less than nothing"):
            kinds.Counter(-1)


def test_a_representation_is_code_without_what_is_left_out_of_it(kinds: Any) -> None:
    place = "defined_by.<locals>.Kinds"
    assert repr(kinds.Point(x=1)) == f"{place}.Point(x=1, y=2, tags=[], note='')"
    assert repr(kinds.Nothing()) == f"{place}.Nothing()"


def test_only_what_is_not_frozen_can_be_changed_and_nothing_can_be_added(kinds: Any) -> None:
    pair, counter = kinds.Pair(1), kinds.Counter()
    counter.count += 1
    assert counter.count == 1
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'left'"):
        pair.left = 2
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'left'"):
        del pair.left
    with pytest.raises(AttributeError):
        counter.other = 1
    assert pair == kinds.Pair(1)


def test_instances_are_taken_apart_by_match(kinds: Any) -> None:
    match kinds.Pair(1, (2,)):
        case kinds.Pair(1, right):
            assert right == (2,)
        case _:
            pytest.fail("not matched by its first field")
    assert kinds.Point.__match_args__ == ()


def test_the_functions_of_the_standard_library_take_them_too(kinds: Any) -> None:
    point = kinds.Point(x=1)
    names = ["x", "y", "tags", "secret", "note"]
    assert [each.name for each in dataclasses.fields(point)] == names
    assert list(dataclasses.asdict(point)) == names
    assert dataclasses.replace(point, y=5) == kinds.Point(x=1, y=5)
    assert dataclasses.is_dataclass(point)


def test_replaced_and_taken_apart() -> None:
    kinds = defined_by(ours)
    point = kinds.Point(x=1, tags=["a"])
    assert replace(point, y=5) == kinds.Point(x=1, y=5, tags=["a"])
    with pytest.raises(TypeError, match="unexpected"):
        replace(point, z=5)
    nested = kinds.Pair(point, (kinds.Nothing(), {"p": kinds.Counter(3)}))
    assert asdict(nested) == dataclasses.asdict(nested)
    assert asdict(nested)["right"] == ({}, {"p": {"count": 3}})


def test_what_is_not_supported_is_refused_where_it_is_defined() -> None:
    with pytest.raises(TypeError, match="Child inherits"):

        @dataclass(slots=True)
        class Child(dict):  # type: ignore[type-arg]
            x: int

    with pytest.raises(TypeError, match="slots"):

        @dataclass(frozen=True)
        class Loose:
            x: int


def test_first_instances_in_many_threads_at_once() -> None:
    for _ in range(20):
        pair: Any = defined_by(ours).Pair
        made: list[object] = []
        threads = [threading.Thread(target=lambda pair=pair, made=made: made.append(pair(1))) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert made == [pair(1)] * 16


def every_class() -> Iterator[type]:
    """Yield every dataclass of the package."""
    for module in pkgutil.walk_packages(installguard.__path__, "installguard."):
        if module.name.rpartition(".")[2] not in ("pip_hook", "__main__"):
            for each in vars(importlib.import_module(module.name)).values():
                if isinstance(each, type) and each.__module__ == module.name and dataclasses.is_dataclass(each):
                    yield each


def test_every_dataclass_of_the_package_is_one_of_ours_with_fields_in_order() -> None:
    found = list(every_class())
    assert len(found) > 100
    for each in found:
        fields = dataclasses.fields(each)
        assert tuple(field.name for field in fields) == getattr(each, "__slots__")  # noqa: B009 - mypy: no attribute
        assert tuple(each.__annotations__) == tuple(field.name for field in fields)


def test_a_default_may_be_none() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Maybe:
        value: int | None = None
        others: dict[str, int] = field(default_factory=dict)

    assert Maybe().value is None
    assert Maybe(others={"a": 1}) != Maybe()
