"""What a user's input can do wrong."""


class BadInput(ValueError):
    """Input that HashLens cannot use; its text is one sentence that says what is wrong and what to do.

    The command line prints it without a traceback and exits with status 2.

    Example:
        >>> import hashlens as hl
        >>> try:
        ...     hl.open_source("")
        ... except hl.BadInput as error:
        ...     print(error)
        The source is empty; name a folder, a file or a set (. is the current folder).
    """


def first_line(error: Exception, said: str = "") -> str:
    """What an exception of a library says, to stand within a sentence: its first line, without a full stop.

    Args:
        said: its message, where ``str(error)`` is more than that.

    Example:
        >>> first_line(ValueError("It is cut off. ")), first_line(OSError())
        ('It is cut off', 'OSError')
    """
    return (said or str(error)).strip().partition("\n")[0].rstrip(". ") or type(error).__name__


class NotFound(BadInput):
    """Something that was asked for by name or number, such as an image of an index, is not there.

    Example:
        >>> issubclass(NotFound, BadInput)  # who does not care which it is need not ask
        True
    """
