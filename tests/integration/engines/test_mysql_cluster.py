"""Servers that share their work: a node of Galera, and one of several servers that hand out numbers."""

from __future__ import annotations

import pytest

from local.databases.replication import GALERA, galera_node
from tests.integration.engines.mysql_servers import own_server
from tributary.model.source_catalog import TableName


@pytest.mark.skipif(not GALERA.exists(), reason="Debian's galera-4 is not installed")
def test_a_node_of_galera_does_not_list_the_writers_of_its_tables() -> None:
    with own_server(**galera_node()) as source, source.session() as connection:
        source.execute("CREATE TABLE t (id int PRIMARY KEY) ENGINE=InnoDB")
        source.execute("INSERT INTO t VALUES (1)")
        assert sum(page.rows for page in source.engine.read(connection, source.query("t"))) == 1
        assert source.engine.clock(connection).hidden == "a cluster does not show other nodes' transactions"


def test_numbers_that_several_servers_hand_out_are_no_cursor_by_themselves() -> None:
    with own_server(auto_increment_increment="3") as source, source.session() as connection:
        source.execute("CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, v int)")
        name = TableName("shop", "t")
        (hazard,) = source.engine.describe(connection, [name])[name].cursor_hazards
        reason = "several servers hand out its values (auto_increment_increment is 3)"
        assert (hazard.column, hazard.reason) == ("id", reason)
