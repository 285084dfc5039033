"""The error of an answer or sample that is not what its type says."""


class UnreadableAnswer(ValueError):
    """An answer cannot be read; the text says what is wrong with it, where, and what to do, and holds nothing of it."""
