"""The project as a whole: one version, one way to check it, and nothing that only works in one place."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import yaml

from local.databases import mariadb, postgres
from tests.integration.engines import odbc_engines
from tributary import __version__

ROOT = Path(__file__).parents[2]
HOSTS = {  # of documents and examples; packages come from wherever pip is configured to get them
    "127.0.0.1",
    "aws.amazon.com",
    "docs.airbyte.com",
    "dev.mysql.com",
    "docs.aws.amazon.com",
    "host.docker.internal",
    "learn.microsoft.com",
    "localhost",
    "mariadb.com",
    "semver.org",
    "sqlite.org",
    "truststore.pki.rds.amazonaws.com",
    "www.apache.org",
    "www.fivetran.com",
    "www.postgresql.org",
    "www.sqlite.org",
}


def tracked() -> dict[str, str]:
    """Return the texts of the files that git knows, by path."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return {name: (ROOT / name).read_text(errors="replace") for name in names if (ROOT / name).is_file()}


def test_no_engine_that_is_required_is_left_out():
    required = set(filter(None, os.environ.get("TRIBUTARY_REQUIRE", "").split(",")))
    present = {
        "postgresql": postgres.available(),
        "mysql": mariadb.available(),
        "odbc": odbc_engines.available("postgresql") and odbc_engines.available("mysql"),
    }
    assert required <= present.keys()
    assert [name for name in sorted(required) if not present[name]] == []


def test_addresses_in_the_project_are_of_documents_and_of_this_machine():
    matches = {
        (name, host)
        for name, text in tracked().items()
        for host in re.findall(r"https?://([A-Za-z0-9.-]+[A-Za-z0-9])", text)
    }
    assert {(name, host) for name, host in matches if host not in HOSTS} == set()


def test_pip_is_told_of_no_index():
    option = "--index" + "-url"
    assert [name for name, text in tracked().items() if option in text] == []


def test_no_test_is_skipped_or_expected_to_fail():
    marks = ["pytest." + "skip", "mark." + "skip", "x" + "fail", "import" + "orskip"]
    tests = {name: text for name, text in tracked().items() if name.startswith("tests/")}
    assert [(name, mark) for name, text in tests.items() for mark in marks if mark in text] == []


def test_the_newest_version_in_the_changelog_is_this_one():
    versions = re.findall(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == __version__


def test_ci_only_calls_its_script():
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    assert [step["run"] for step in steps if "run" in step] == ["sudo -E .ci/run"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_every_command_that_the_documents_name_exists():
    commands = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    documents = [text for name, text in tracked().items() if name.endswith((".md", ".toml"))]
    named = {
        command for text in documents for command in re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE)
    }
    assert named <= commands


def test_every_document_that_is_linked_exists():
    broken = {
        (name, target)
        for name, text in tracked().items()
        if name.endswith(".md")
        for target in re.findall(r"\]\(([^)#:]+)\)", text)
        if not (ROOT / name).parent.joinpath(target).exists()
    }
    assert broken == set()


def test_every_heading_that_is_linked_exists():
    pages = {name: text for name, text in tracked().items() if name.endswith(".md")}
    headings = {(ROOT / name).resolve(): anchors(text) for name, text in pages.items()}
    links = {
        (
            name,
            target,
            ((ROOT / name).parent / target).resolve() if target else (ROOT / name).resolve(),
            anchor,
        )
        for name, text in pages.items()
        for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", text)
    }
    assert len(links) > 50
    assert {
        (name, target, anchor) for name, target, page, anchor in links if anchor not in headings[page]
    } == set()


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives to a page's headings."""
    without_code = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", without_code)
    headings = re.findall(r"^#+ (.+)$", plain, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def test_every_module_that_the_architecture_page_sends_to_exists():
    page = (ROOT / "docs/architecture.md").read_text()
    table = page.partition("### If you want to change")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| [^|]+ \| ([^|]+) \|$", table, re.MULTILINE)
    paths = {path for row in rows for path in re.findall(r"`([^`]*[/.][^`]*)`", row)}
    assert len(paths) > 30
    package = ROOT / "layers/tributary/tributary"
    places = {path: path.replace("<engine>", "postgresql") for path in paths}
    missing = [
        path
        for path, place in places.items()
        if not (package / place).exists() and not (ROOT / place).exists()
    ]
    assert missing == []


def test_samconfig_asks_nothing_that_a_deploy_by_machine_could_not_answer():
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    assert config["default"]["deploy"]["parameters"]["confirm_changeset"] is False
    assert config["default"]["deploy"]["parameters"]["resolve_s3"] is True
    assert Path(ROOT / config["default"]["local_invoke"]["parameters"]["env_vars"]).is_file()


def steps(target: str, *more: str) -> str:
    """Return the commands that make would run if nothing were there yet."""
    outer = {
        name: value for name, value in os.environ.items() if not name.startswith("MAKE")
    }  # of `make test`
    command = ["make", "--always-make", "--dry-run", target, *more]
    return subprocess.run(command, cwd=ROOT, env=outer, capture_output=True, text=True, check=True).stdout


def test_a_deploy_looks_at_the_account_before_it_builds_anything():
    deploy = steps("deploy", "ENV=prod")
    order = ["-m infra.deploy prod", "-m tributary sources", "sam build", "sam deploy --config-env prod"]
    assert sorted(order, key=deploy.index) == order


def test_a_deploy_installs_no_database_server():
    assert "setup.sh servers" in steps("test")
    assert "setup.sh servers" not in steps("deploy")
