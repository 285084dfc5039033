"""What operators may do, one module per resource: each operation authorises, acts and audits, in that order.

Knows the store and the data plane only through ``ports``; knows no HTTP and no SQL. It can seal secrets, not open them.
"""
