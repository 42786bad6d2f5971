"""Dataclasses that cost little to define, since guard defines more than a hundred of them at every start.

On Python 3.11 the standard library takes about a millisecond a class, for methods that a run rarely calls, and 12 ms to
be imported. Here `__init__` is made when the first instance is, and the other methods are the same for all classes.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import asdict, dataclass, field, replace

    __all__ = ["asdict", "dataclass", "field", "replace"]
else:

    def dataclass(*, slots: bool, frozen: bool = False, kw_only: bool = False) -> Callable[[type], type]:
        """Return what makes a dataclass of a class that inherits from none, as `dataclasses.dataclass` would.

        Not supported are pickling, what compares without being equal (`order`), and `InitVar`.
        """
        if not slots:
            raise TypeError("only dataclasses with slots are supported")
        return lambda cls: _made(cls, frozen=frozen, kw_only=kw_only)

    def field(**told: Any) -> object:
        """Return a field that is told more of than a default: `default` or `default_factory`, `repr`, `compare`."""
        return _Field(**told)

    def replace(instance: Any, /, **changes: Any) -> Any:
        """Return an instance with other values in some fields."""
        for name in type(instance).__slots__:
            if name not in changes:
                changes[name] = getattr(instance, name)
        return type(instance)(**changes)

    def asdict(instance: Any) -> dict[str, Any]:
        """Return the values of all fields by their names, in order, and so of instances among the values."""
        return {name: _plain(getattr(instance, name)) for name in type(instance).__slots__}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return type(value)(map(_plain, value))
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return asdict(value) if hasattr(type(value), "__dataclass_fields__") else value


_NONE: Any = object()
"""Stands for a default where there is none, and for an argument that was left out."""


class _Field:
    """What is to be known of a field."""

    __slots__ = ("compare", "default", "default_factory", "repr")

    def __init__(
        self,
        *,
        default: object = _NONE,
        default_factory: Callable[[], object] = _NONE,
        repr: bool = True,
        compare: bool = True,
    ) -> None:
        self.default = default
        self.default_factory = default_factory
        self.repr = repr
        self.compare = compare


_PLAIN = _Field()


class _Fields:
    """The fields of a class for the functions of `dataclasses`, which is imported when one of them asks."""

    __slots__ = ("_fields",)

    def __init__(self, fields: dict[str, _Field]) -> None:
        self._fields = fields

    def __get__(self, instance: object, owner: type) -> Any:
        from dataclasses import MISSING, field, make_dataclass

        def told(each: _Field) -> Any:
            value, make = (MISSING if one is _NONE else one for one in (each.default, each.default_factory))
            return field(default=value, default_factory=make, repr=each.repr, compare=each.compare, kw_only=True)  # type: ignore[call-overload]  # one of both is missing

        same = [(name, owner.__annotations__[name], told(each)) for name, each in self._fields.items()]
        twin: Any = make_dataclass(owner.__name__, same)
        return twin.__dataclass_fields__


def _made(cls: type, *, frozen: bool, kw_only: bool) -> type:
    if cls.__bases__ != (object,):
        raise TypeError(f"{cls.__name__} inherits from a class")
    names = tuple(name for name, kind in cls.__annotations__.items() if not str(kind).startswith("ClassVar"))
    namespace = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
    fields: dict[str, _Field] = dict.fromkeys(names, _PLAIN)
    for name in names:
        if name in namespace:
            given = namespace.pop(name)
            fields[name] = given if isinstance(given, _Field) else _Field(default=given)
    own: dict[str, object] = {
        "__slots__": names,
        "__match_args__": () if kw_only else names,
        "__dataclass_fields__": _Fields(fields),
        "__repr__": _repr_of(tuple(name for name in names if fields[name].repr)),
        **_comparing(tuple(name for name in names if fields[name].compare)),
    }
    if frozen:
        own.update(__setattr__=_refuse_to_set, __delattr__=_refuse_to_delete)
    else:
        own["__hash__"] = None
    made = type(cls)(cls.__name__, cls.__bases__, {**own, **namespace})
    made.__qualname__ = cls.__qualname__

    few = iter(range(_FEW))

    def __init__(self: object, *args: object, **values: object) -> None:  # noqa: N807 - becomes the method
        if args or next(few, None) is None or not _filled(self, fields, values):
            init = _init(made, fields, kw_only=kw_only)
            setattr(made, "__init__", init)  # noqa: B010 - mypy: not assignable
            init(self, *args, **values)

    setattr(made, "__init__", __init__)  # noqa: B010 - the same
    return made


_FEW = 8
"""Instances of a class that are filled without an `__init__` of its own: making one takes as long as filling dozens."""


def _filled(instance: object, fields: dict[str, _Field], values: dict[str, object]) -> bool:
    """Set all fields by *values* and defaults; tell whether these are what is needed, else it is to be done anew."""
    cls, given = type(instance), 0
    for name, each in fields.items():
        if name in values:
            value, given = values[name], given + 1
        elif each.default_factory is not _NONE:
            value = each.default_factory()
        elif each.default is not _NONE:
            value = each.default
        else:
            return False
        getattr(cls, name).__set__(instance, value)
    if given != len(values):
        return False
    if hasattr(cls, "__post_init__"):
        getattr(instance, "__post_init__")()  # noqa: B009 - mypy: object has none
    return True


def _init(cls: type, fields: dict[str, _Field], *, kw_only: bool) -> Any:
    """Return the `__init__` of a class: it sets the slots themselves, which a frozen class lets nobody else do."""
    scope: dict[str, object] = {"_none": _NONE}
    parameters, body = ["self", *(["*"] if kw_only and fields else [])], []
    for number, (name, each) in enumerate(fields.items()):
        scope[f"_set_{number}"] = getattr(cls, name).__set__
        value = name
        if each.default_factory is not _NONE:
            scope[f"_make_{number}"] = each.default_factory
            parameters.append(f"{name}=_none")
            value = f"_make_{number}() if {name} is _none else {name}"
        elif each.default is not _NONE:
            scope[f"_default_{number}"] = each.default
            parameters.append(f"{name}=_default_{number}")
        else:
            parameters.append(name)
        body.append(f"  _set_{number}(self, {value})\n")
    if hasattr(cls, "__post_init__"):
        body.append("  self.__post_init__()\n")
    exec(f"def __init__({', '.join(parameters)}):\n{''.join(body) or '  pass'}", scope)  # noqa: S102 - of our own names
    init: Any = scope["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


def _comparing(names: tuple[str, ...]) -> dict[str, object]:
    """Return what makes instances of one class with the same values equal, with the same hash."""
    values: Callable[[Any], object] = attrgetter(*names) if names else lambda _: ()

    def __eq__(self: object, other: object) -> bool:  # noqa: N807 - becomes the method
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: object) -> int:  # noqa: N807 - the same
        return hash(values(self))

    return {"__eq__": __eq__, "__hash__": __hash__}


def _repr_of(names: tuple[str, ...]) -> Callable[[Any], str]:
    def __repr__(self: Any) -> str:  # noqa: N807 - the same
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    return __repr__


def _refuse_to_set(self: object, name: str, _value: object) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: object, name: str) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot delete field {name!r}")
