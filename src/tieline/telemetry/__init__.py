"""What Tieline tells about itself: log lines (``logs``) and numbers (``metrics``). Knows no request and no secret."""
