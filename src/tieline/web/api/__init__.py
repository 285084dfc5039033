"""The admin API's routes, one router per resource. Each only translates between HTTP and one operation."""
