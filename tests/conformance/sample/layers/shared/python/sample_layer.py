"""What both functions share through the layer."""

GREETING = "from the layer"


class OutOfPaper(Exception):
    """The error whose name the machine catches."""
