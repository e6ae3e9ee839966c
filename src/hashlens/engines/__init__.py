"""What finds the nearest codes: engines, ours among them."""

from hashlens.engines.engine import ENGINES, SearchEngine
from hashlens.engines.engine import open_engine as open
from hashlens.engines.hamming import HammingIndex, KeyedIndex
from hashlens.engines.lancedb import LanceTable
from hashlens.engines.milvus import MilvusTable
from hashlens.engines.npy_file import NpyFile
from hashlens.engines.parquet_file import ParquetFile
from hashlens.engines.postgresql import PostgresTable
from hashlens.engines.ray_shards import RayShards
from hashlens.engines.table import Rows, Table, opened_table

register = ENGINES.register

__all__ = [
    "ENGINES",
    "HammingIndex",
    "KeyedIndex",
    "LanceTable",
    "MilvusTable",
    "NpyFile",
    "ParquetFile",
    "PostgresTable",
    "RayShards",
    "Rows",
    "SearchEngine",
    "Table",
    "open",
    "opened_table",
    "register",
]
