"""The HTTP API of a pipeline that is predicted on request: routes, what they answer, and how errors are told.

Third party: powertools with its parser, in `routes` and `documents` alone; `paths` and `runs` do without.
"""
