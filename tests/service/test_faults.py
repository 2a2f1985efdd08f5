"""A disk that refuses, seen through HTTP: changes are refused, answers go on."""

from __future__ import annotations

from tests.service.serving import GREEN, RED, Service, picture


def test_a_read_only_disk_refuses_changes_until_it_is_writable_again(service: Service) -> None:
    taught = service.teach("red", picture(), picture(mark=1)).json()
    service.teach("green", picture(GREEN))
    service.settle()
    before = service.ask(picture(RED, mark=2)).json()
    version, shot = service.version, taught["shot_ids"][0]
    # As SQLite says it of a disk that was mounted anew because of errors.
    maintain = service.engine.cache._store._database.maintain
    maintain("PRAGMA query_only = ON")
    http = service.http
    refused = [
        service.teach("red", picture(mark=3)),
        http.patch(f"/cache/shots/{shot}", json={"label": "green"}),
        http.delete(f"/cache/shots/{shot}"),
        http.put("/classes/blue", json={"prompts": ["a blue one"]}),
        service.delete_class("red"),
        http.post("/cache/rollback", json={"version": version - 1}),
    ]
    for response in refused:
        assert "nothing was changed" in service.problem(response, 503, "unwritable")
        assert int(response.headers["retry-after"]) > 0
    after = service.ask(picture(RED, mark=2)).json()
    assert after["label"] == before["label"] == "red"
    assert after["cache_version"] == version
    assert len(http.get("/cache/shots").json()["shots"]) == 3
    assert http.get(f"/cache/shots/{shot}/image").status_code == 200
    maintain("PRAGMA query_only = OFF")
    assert service.teach("red", picture(mark=3)).json()["cache_version"] == version + 1


def test_a_full_disk_under_a_key_answers_once_there_is_room(service: Service) -> None:
    service.teach("red", picture())
    maintain = service.engine.cache._store._database.maintain
    maintain("PRAGMA max_page_count = 1")
    version = service.version
    images = [("image", ("image", picture(mark=mark))) for mark in range(1, 60)]

    def send() -> tuple[int, object]:
        response = service.http.post(
            "/cache/add",
            data={"label": "red"},
            files=images,
            headers={"Idempotency-Key": "full"},
        )
        if response.status_code == 507:
            service.problem(response, 507, "disk-full")
        return response.status_code, response.json()

    assert send()[0] == 507
    assert service.ask(picture()).json()["label"] == "red"
    assert service.version == version
    maintain("PRAGMA max_page_count = 1000000")
    status, body = send()
    assert (status, service.version) == (201, version + 1)
    assert send() == (201, body)
    assert service.version == version + 1
