"""``--set emr.delta=0.05``: every field of EsamConfig from the command line."""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

import click

if TYPE_CHECKING:
    from esam_fast.config import EsamConfig

_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def with_overrides(config: EsamConfig, settings: Iterable[str]) -> EsamConfig:
    """The config with each "section.field=value" (or "field=value") applied; of two on one field the last counts.

    Raises:
        click.BadParameter: an unknown name (the right ones are listed), or a value that its field refuses.
    """
    types_ = field_types(type(config))
    values: dict[str, dict[str, Any]] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise _refusal(f"expected NAME=VALUE, got {setting!r}")
        if name not in types_:
            raise _refusal(_unknown(name, list(types_)))
        section, _, field = name.rpartition(".")
        values.setdefault(section, {})[field] = _parse(name, text, types_[name])
    top = values.pop("", {})
    try:
        for section, changes in values.items():
            prefix = f"{section}."
            top[section] = dataclasses.replace(getattr(config, section), **changes)
        prefix = ""
        return dataclasses.replace(config, **top)
    except (TypeError, ValueError) as error:
        raise _refusal(f"{prefix}{error}") from error


def field_types(config: type) -> dict[str, Any]:
    """The type of every field of a config class by its name, fields of sections as "section.field"."""
    found = {}
    for name, kind in get_type_hints(config).items():
        if dataclasses.is_dataclass(kind):
            found.update({f"{name}.{inner}": type_ for inner, type_ in get_type_hints(kind).items()})
        else:
            found[name] = kind
    return found


def _parse(name: str, text: str, kind: Any) -> Any:
    optional = get_origin(kind) in (Union, types.UnionType)
    if optional:
        if text.lower() == "none":
            return None
        kind = next(choice for choice in get_args(kind) if choice is not type(None))
    try:
        return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        expected = _WORDS[kind] + (" or none" if optional else "")
        raise _refusal(f"{name} must be {expected}, got {text!r}") from None


def _unknown(name: str, names: list[str]) -> str:
    inside = [known for known in names if known.startswith(f"{name}.")]
    if inside:
        return f"{name!r} is a group of settings: {', '.join(inside)}"
    close = difflib.get_close_matches(name, names, n=1)
    if not close:  # the field alone, or in another section
        tails = [known for known in names if known.rpartition(".")[2] == name.rpartition(".")[2]]
        close = tails[:1]
    hint = f" Did you mean {close[0]}?" if close else ""
    return f"there is no setting {name!r}.{hint} Settings: {', '.join(names)}"


def _refusal(message: str) -> click.BadParameter:
    return click.BadParameter(message, param_hint="'--set'")
