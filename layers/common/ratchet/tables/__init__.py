"""Tables as Parquet: reading, joining, writing. Third party: pyarrow."""
