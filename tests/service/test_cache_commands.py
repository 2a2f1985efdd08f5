"""`xmadapter cache`: beside a running service, and without one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from indexer.reader import FILE
from indexer.store import Store
from service.cli import app
from service.ending import FAILED
from tests.service.adapters import publish
from tests.service.serving import GREEN, RED, Service, picture, serving


def run(*arguments: object, given: bytes | str | None = None) -> Result:
    return CliRunner().invoke(app, ["cache", *map(str, arguments)], input=given)


@pytest.fixture(scope="module")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("cache")) as made:
        yield made


@pytest.fixture
def running(_running: Service) -> Service:
    """A service whose last change forgot a shot; two are left."""
    for each in _running.http.get("/classes").json()["classes"]:
        _running.delete_class(each["label"])
    _running.teach("green", picture(GREEN))
    ids = _running.teach("red", picture(RED), picture(RED, mark=1)).json()["shot_ids"]
    _running.http.delete(f"/cache/shots/{ids[1]}")
    return _running


def folder_of(service: Service) -> Path:
    return service.engine.cache.path


def test_export_beside_a_service_and_serve_what_was_imported(
    running: Service, tmp_path: Path
) -> None:
    file, again = tmp_path / "cache.tar", tmp_path / "again"
    publish(folder_of(running))
    made = run("export", folder_of(running), file)
    assert made.exit_code == 0, made.output
    version = running.version
    assert f"version {version}, 2 classes, 2 shots" in made.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["cache.tar"]
    found = run("import", file, again)
    assert found.exit_code == 0, found.output
    assert f"version {version}, 2 classes, 2 shots of pixel-encoder" in found.stderr
    with serving(again) as other:
        assert other.version == version
        assert other.engine.cache.adapter.number == 1
        other.http.post("/cache/rollback", json={"version": version - 1})
        assert other.http.get("/cache").json()["shots"] == 3
        assert other.teach("red", picture(RED)).status_code == 200


def test_standard_output_and_input(running: Service, tmp_path: Path) -> None:
    made = run("export", folder_of(running), "-", "--quiet", "--without-history")
    assert made.exit_code == 0, made.stderr
    found = run("import", "-", tmp_path / "again", "--quiet", given=made.stdout_bytes)
    assert found.exit_code == 0, found.stderr
    with closing(Store(tmp_path / "again")) as store:
        assert len(store.versions(9).items) == 1


def test_a_damaged_file_leaves_nothing(running: Service, tmp_path: Path) -> None:
    file = tmp_path / "cache.tar"
    run("export", folder_of(running), file)
    content = bytearray(file.read_bytes())
    content[9000] ^= 1
    file.write_bytes(content)
    found = run("import", file, tmp_path / "again")
    assert found.exit_code == FAILED
    assert "Error: the archive is damaged" in found.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["cache.tar"]
    refused = run("import", file, folder_of(running))
    assert refused.exit_code == FAILED
    assert "there is a cache at" in refused.stderr


def test_an_export_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "cache.tar"
    file.write_text("the last one")
    found = run("export", tmp_path / "none", file)
    assert found.exit_code == FAILED
    assert "no cache at" in found.stderr
    assert file.read_text() == "the last one"
    assert [path.name for path in tmp_path.iterdir()] == ["cache.tar"]
    missing = run("import", tmp_path / "none.tar", tmp_path / "again")
    assert (missing.exit_code, "none.tar" in missing.stderr) == (FAILED, True)


def test_verify_beside_a_service_says_what_it_saw(running: Service) -> None:
    found = run("verify", folder_of(running), "--deep")
    assert found.exit_code == 0, found.output
    lines = dict(line.split("  ", 1) for line in found.output.splitlines())
    assert {"pages", "shots", "history", "adapters", "keys in the indices"} <= set(lines)
    assert lines["keys in the indices"].split() == ["2", "sound"]
    assert "wrong" not in found.output


def test_verify_tells_all_that_is_wrong(running: Service, tmp_path: Path) -> None:
    run("export", folder_of(running), tmp_path / "cache.tar", "--without-history")
    run("import", tmp_path / "cache.tar", tmp_path / "again")
    with closing(sqlite3.connect(tmp_path / "again" / FILE)) as connection, connection:
        connection.execute("UPDATE extras SET thumbnail = NULL")
    found = run("verify", tmp_path / "again")
    assert found.exit_code == FAILED
    assert found.stderr.count("Error: views or thumbnail of shot") == 2
    assert "2 wrong" in found.stdout
    assert run("verify", tmp_path / "none").exit_code == FAILED


def test_compact_asks_first(running: Service) -> None:
    version = running.version
    found = run("compact", folder_of(running), given="n\n")
    assert found.exit_code == FAILED
    assert f"those before {version}, and" in found.output
    assert running.http.get("/cache/versions").json()["versions"][-1]["version"] < version


def test_compact_beside_a_service_that_goes_on(running: Service) -> None:
    version = running.version
    found = run("compact", folder_of(running), "--keep", 1, "--yes")
    assert found.exit_code == 0, found.output
    assert "versions erased;" in found.output
    versions = running.http.get("/cache/versions").json()["versions"]
    assert [each["version"] for each in versions] == [version, version - 1]
    answer = running.ask(picture(RED), explain=9).json()
    assert len(answer["neighbors"]) == 2
    gone = running.http.post("/cache/rollback", json={"version": version - 2})
    running.problem(gone, 404, "unknown-version")
    assert gone.json()["oldest"] == version - 1
    running.http.post("/cache/rollback", json={"version": version - 1})
    assert len(running.ask(picture(RED), explain=9).json()["neighbors"]) == 3
    assert run("verify", folder_of(running), "--deep").exit_code == 0


def test_compact_of_what_is_compact_does_nothing(running: Service) -> None:
    run("compact", folder_of(running), "--yes")
    found = run("compact", folder_of(running))
    assert found.exit_code == 0
    assert "nothing to erase" in found.output
