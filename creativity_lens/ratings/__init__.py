"""Human ratings of texts: one long format, readers of published sets, and any CSV or JSONL by its columns."""

from creativity_lens.ratings.columns import read_columns, read_long, write_long
from creativity_lens.ratings.sets import LEVELS, SETS, Primary, RatedSet, RemoteFile, load_ratings
from creativity_lens.ratings.table import COLUMNS, PANEL, Ratings, scale_ends

__all__ = [
    "COLUMNS",
    "LEVELS",
    "PANEL",
    "SETS",
    "Primary",
    "RatedSet",
    "Ratings",
    "RemoteFile",
    "load_ratings",
    "read_columns",
    "read_long",
    "scale_ends",
    "write_long",
]
