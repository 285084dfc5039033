"""What Tieline costs, measured beside other proxies in one run on one machine. See ``bench/README.md``.

Outside the product: it starts the product as anybody would and looks at it from outside.
"""
