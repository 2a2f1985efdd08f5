"""The commands that make, list and revoke keys."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from service import keys
from service.cli import app
from service.ending import FAILED, WRONG_USAGE
from service.keyfile import KeyFile
from service.settings import CLIENT_KEY
from tests.service.serving import RED, picture, serving


def run(folder: Path, *arguments: object, **environment: str) -> Result:
    typed = ["keys", *map(str, arguments), "--cache", str(folder)]
    return CliRunner().invoke(app, typed, env={"COLUMNS": "200", **environment})


def test_a_key_is_printed_once_and_is_good(tmp_path: Path) -> None:
    result = run(tmp_path, "create", "me", "--scope", "read", "--scope", "write", "--expires", 2)
    assert result.exit_code == 0
    key = result.stdout.strip()
    (kept,) = KeyFile(tmp_path / "keys.json").read() or ()
    now = datetime.now(UTC)
    assert keys.check({kept.id: kept}, key, now) is kept
    assert (kept.name, kept.scopes) == ("me", ("read", "write"))
    assert kept.expires is not None
    assert timedelta(days=1.9) < kept.expires - now < timedelta(days=2)
    listed = run(tmp_path, "list").output + run(tmp_path, "list", "--json").output
    assert key[17:] not in listed
    assert kept.digest not in listed


def test_a_key_may_do_little_unless_told(tmp_path: Path) -> None:
    run(tmp_path, "create", "me")
    run(tmp_path, "create", "you", "--rate", 0.4, "--concurrency", 3)
    run(tmp_path, "create", "them", "--rate", 5, "--burst", 7)
    found = [json.loads(line) for line in run(tmp_path, "list", "--json").stdout.splitlines()]
    assert [each["scopes"] for each in found] == [["read"]] * 3
    limits = [(each["rate"], each["burst"], each["concurrency"]) for each in found]
    assert limits == [(None, None, None), (0.4, 1, 3), (5, 7, None)]


def test_the_list_is_for_people(tmp_path: Path) -> None:
    assert "keys create NAME" in run(tmp_path, "list").stderr
    run(tmp_path, "create", "[bold]me", "--rate", 2.5)
    output = run(tmp_path, "list").output
    for text in ("[bold]me", "read", "never", "2.5 a second, 5 at once"):
        assert text in output


def test_a_key_is_revoked(tmp_path: Path) -> None:
    run(tmp_path, "create", "me")
    file = KeyFile(tmp_path / "keys.json")
    (kept,) = file.read() or ()
    assert f"{kept.id} of me is revoked" in run(tmp_path, "revoke", kept.id).output
    assert file.read() == ()
    again = run(tmp_path, "revoke", kept.id)
    assert again.exit_code == FAILED
    assert "expected the id of a key" in again.stderr


def test_the_file_can_be_elsewhere(tmp_path: Path) -> None:
    run(tmp_path, "create", "me", "--keys", tmp_path / "a")
    run(tmp_path, "create", "me", XMADAPTER_KEYS=str(tmp_path / "b"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "a.lock", "b", "b.lock"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (("--scope", "all"), "expected 'read', 'write' or 'admin', got 'all'"),
        (("--rate", 0), "rate: "),
        (("--rate", "inf"), "rate: "),
        (("--burst", 0), "burst: "),
        (("--concurrency", -1), "concurrency: "),
        (("--expires", 0), "--expires: expected days from now"),
        (("--expires", "1e300"), "--expires: "),
        (("--expires", "nan"), "--expires: "),
    ],
)
def test_what_cannot_be(tmp_path: Path, wrong: tuple[str, object], message: str) -> None:
    result = run(tmp_path, "create", "me", *wrong)
    assert result.exit_code == WRONG_USAGE
    assert message in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_bytes(b"{}")
    for command in (("list",), ("create", "me"), ("revoke", "x")):
        result = run(tmp_path, *command)
        assert result.exit_code == FAILED
        assert "damaged" in result.stderr


def test_the_other_commands_send_a_key(tmp_path: Path) -> None:
    image = tmp_path / "red.png"
    image.write_bytes(picture(RED))
    folder = tmp_path / "cache"
    key = run(folder, "create", "me", "--scope", "write").stdout.strip()
    runner = CliRunner()
    with serving(folder) as service:
        teach = ["add", "red", str(image), "--url", service.url]
        refused = runner.invoke(app, teach)
        assert refused.exit_code == FAILED
        assert "--api-key or XMADAPTER_API_KEY" in refused.stderr
        assert runner.invoke(app, [*teach, "--api-key", key]).exit_code == 0
        ask = ["classify", str(image), "--url", service.url]
        assert runner.invoke(app, ask, env={CLIENT_KEY: key}).exit_code == 0
