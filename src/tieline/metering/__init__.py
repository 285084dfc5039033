"""What a request used, what that costs and what it may cost at most. Pure: no clock and no input or output."""
