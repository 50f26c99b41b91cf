"""Groups of variables: whose Shapley effects are summed, and under which name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from variscope.errors import UserError

AUGMENTATIONS, IDENTITY = "all_augmentations", "image_identity"
_OF_IDENTITY = ("class", "image", "part")


def variable_groups(
    augmentations: Sequence[str], auxiliary: Sequence[str], own: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """Return the members of every group by its name: the built-in ones, then a user's own.

    Built in are ``all_augmentations``, without their order, and ``image_identity``, which is of
    class, image and part what varies; each where it has a member.

    Args:
        augmentations: names, as listed.
        auxiliary: which of order, class, image, part are variables.
        own: a user's groups.

    Raises:
        UserError: a group without members, an unknown variable, one twice in a group, or a group's
            name that is taken.

    Example:
        >>> variable_groups(["hue", "rolling"], ["order", "image"], {"place": ["rolling", "image"]})
        {'all_augmentations': ['hue', 'rolling'], 'image_identity': ['image'],
         'place': ['rolling', 'image']}
    """
    variables = [*augmentations, *auxiliary]
    found = {
        AUGMENTATIONS: list(augmentations),
        IDENTITY: [name for name in _OF_IDENTITY if name in auxiliary],
    }
    for name, members in own.items():
        if name in found or name in (*variables, "order", *_OF_IDENTITY):
            what = "a built-in group" if name in found else "a variable"
            raise UserError(f"groups: found the name {name!r}, which is {what}'s; choose another")
        if not members:
            raise UserError(f"groups.{name}: found no variable; name at least one")
        for member in members:
            if member not in variables:
                raise UserError(f"groups.{name}: found {member!r}; allowed: {', '.join(variables)}")
            if list(members).count(member) > 1:
                raise UserError(f"groups.{name}: {member!r} is named twice; it is summed once")
        found[name] = list(members)
    return {name: members for name, members in found.items() if members}
