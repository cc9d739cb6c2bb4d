"""CSV files of labelled records as a source: validated line by line, landed once each, learned from as of an instant.

Personal columns go no further than the file: they are never read into what lands, is set aside or is said.
"""
