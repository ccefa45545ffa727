from tests.e2e.company import Company


def test_a_decimal_that_changed_its_scale_is_refused_not_rounded(company: Company) -> None:
    source = company.source("postgresql")
    source.sql(
        "CREATE TABLE prices (id int PRIMARY KEY, amount numeric(10,2))",
        "INSERT INTO prices VALUES (1, 1.25)",
    )
    source.file("tables: [{name: prices, mode: replace}]")
    assert source.run().status == "SUCCEEDED"
    source.sql("ALTER TABLE prices ALTER amount TYPE numeric(12,4)", "UPDATE prices SET amount = 1.2345")
    ended = source.run()
    assert ended.error == "Reported"
    failure = ended.table("public.prices")["failure"]
    assert failure["error"] == "TableRefused"
    assert "DECIMAL(12,4)" in failure["message"]
    assert "DECIMAL(10,2)" in failure["message"]
    assert source.loaded("prices", "id, amount") == [(1, "1.25")]
