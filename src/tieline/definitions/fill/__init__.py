"""A call and its parameters become a request: typed values put into templates so that none can change their structure.

No input or output: bytes and references to files come out. ``call`` is the door; ``request`` is what comes out.
"""
