"""The one kind of error that is meant for the person who runs a study."""


class UserError(Exception):
    """Bad input, said once: names the key or file, what was found and what is allowed.

    Entry points print the message alone, without a traceback, and exit with a non-zero status.
    It is one line, also where it quotes another error's several.
    """

    def __str__(self) -> str:
        return " ".join(super().__str__().split())
