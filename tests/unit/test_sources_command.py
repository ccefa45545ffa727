"""`python -m tributary`, which `make deploy` asks before it builds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tributary.__main__ import main


def test_a_folder_of_sources_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rest = "secret: tributary/x\ntables: [{name: a}]\n"
    (tmp_path / "crm.yaml").write_text(f"engine: mysql\n{rest}")
    (tmp_path / "shop.yaml").write_text(
        f'engine: postgresql\n{rest}schedule: {{cron: "0 7 * * ? *", timezone: Europe/Madrid}}\n'
    )
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "crm: mysql, secret tributary/x, started by hand, into crm",
        "shop: postgresql, secret tributary/x, cron(0 7 * * ? *) in Europe/Madrid, into shop",
    ]


def test_every_fault_of_every_file_is_told_by_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "crm.yaml").write_text("engine: postgres\nsecret: tributary/x\ntables: [{name: a}]\n")
    (tmp_path / "shop.yaml").write_text("engine: mysql\nsecret: tributary/x\n")
    assert main([str(tmp_path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "crm.yaml, line 1, engine",
        "shop.yaml, line 1, tables",
    ]


def test_a_folder_without_sources_is_a_stack_without_sources(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([str(tmp_path)]) == 0
    assert "has no source file" in capsys.readouterr().out
