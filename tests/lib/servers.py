"""Everything that a test starts, under one name."""
from kafka import Kafka
from mysql import MariaDB, MySQL
from postgres import Postgres
from process import eventually, free_port
from proxy import Proxy
from worker import Readside, readside, write_config

__all__ = ["Kafka", "MariaDB", "MySQL", "Postgres", "Proxy", "Readside", "eventually", "free_port", "readside", "write_config"]
