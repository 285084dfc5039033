"""Every setting: its option, its environment names, its default and what it may hold.

``table`` lists them, ``source`` reads them, ``values`` says what they may hold, ``model`` is what comes of it,
``reading`` puts them together. An option given on the command line wins over the environment, the environment over the
default. Whatever cannot be used raises :class:`~tieline.core.errors.SettingsError` with one line that says which value
and what to write instead.
"""
