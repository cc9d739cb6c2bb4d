"""The report card: an evaluation as one self-contained page for people. Standard library and numpy.

`render` is all that others use. Text and numbers come from `evaluation.json`, charts from the scored rows.
"""

from ratchet.card.page import Series, render

__all__ = ["Series", "render"]
