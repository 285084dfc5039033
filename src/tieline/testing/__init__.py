"""What tests and tools may use: in-memory stores and ready-made parts. The product never imports it."""
