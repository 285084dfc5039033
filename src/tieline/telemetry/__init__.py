"""What Tieline tells about itself: log lines (``logs``). Knows no request and no secret."""
