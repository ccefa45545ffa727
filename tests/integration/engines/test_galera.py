"""A node of Galera."""

from __future__ import annotations

from local.databases.replication import galera_node
from tests.integration.engines.mysql_servers import own_server


def test_a_node_of_galera_does_not_list_the_writers_of_its_tables() -> None:
    with own_server(**galera_node()) as source, source.session() as connection:
        source.execute("CREATE TABLE t (id int PRIMARY KEY) ENGINE=InnoDB")
        source.execute("INSERT INTO t VALUES (1)")
        assert sum(page.rows for page in source.engine.read(connection, source.query("t"))) == 1
        assert source.engine.clock(connection).hidden == "a cluster does not show other nodes' transactions"
