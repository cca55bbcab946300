"""Numbers of things in sentences for users."""

from __future__ import annotations


def counted(number: int, noun: str, form: str = "d") -> str:
    """A number and what it counts: `1 frame`, `2 frames`.

    Parameters
    ----------
    number
        The number of things.
    noun
        The name of one thing; more of them get an `s`.
    form
        Format of the number; `,` separates thousands.
    """
    return f"{number:{form}} {noun}{'' if number == 1 else 's'}"


def are(number: int) -> str:
    """The verb that follows a number of things: `is` after 1, otherwise `are`."""
    return "is" if number == 1 else "are"
