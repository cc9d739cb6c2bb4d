"""Sources that are files: what belongs together is a part, which lands as Parquet with a document beside it.

A part is a function of the files that it is made of, so it may be made anew by anybody at any time; no lease is needed.
"""
