"""Whatever a caller sends: an answer that says what is wrong, never a 500."""

from __future__ import annotations

import base64
import io
import socket
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from service.settings import MIB
from tests.service.serving import GREEN, RED, Service, picture, serving

PNG = {"Content-Type": "image/png"}
JSON = {"Content-Type": "application/json"}
LIMIT = 100_000


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One with small limits, that knows red and green."""
    folder = tmp_path_factory.mktemp("cache")
    with serving(folder, max_image_bytes=LIMIT, max_request_bytes=4 * LIMIT) as made:
        made.teach("red", picture(RED))
        made.teach("green", picture(GREEN))
        yield made


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def png_of(width: int, height: int) -> bytes:
    """A PNG that promises this many pixels and holds one."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixel = zlib.compress(b"\0\0\0\0")
    start = b"\x89PNG\r\n\x1a\n"
    return start + chunk(b"IHDR", header) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")


def saved(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


BAD_IMAGES = {
    "empty": (b"", 400, "empty-image"),
    "truncated JPEG": (picture(form="JPEG")[:300], 422, "undecodable-image"),
    "50,000 x 50,000": (png_of(50_000, 50_000), 413, "image-too-large"),
    "GIF": (saved(Image.new("P", (8, 8)), "GIF"), 415, "unsupported-image"),
    "BMP": (saved(Image.new("RGB", (8, 8)), "BMP"), 415, "unsupported-image"),
    "text": (b"not an image, whatever its name", 415, "unsupported-image"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "unsupported-image"),
    "PNG without its pixels": (png_of(8, 8), 422, "undecodable-image"),
    "only a signature": (b"\x89PNG\r\n\x1a\n", 422, "undecodable-image"),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_a_bad_image_is_refused_however_it_is_sent(taught: Service, name: str) -> None:
    image, status, kind = BAD_IMAGES[name]
    version = taught.version
    raw = taught.http.post("/classify", content=image, headers={"Content-Type": "image/jpeg"})
    form = taught.http.post("/classify", files={"image": ("photo.jpg", image, "image/jpeg")})
    body = taught.http.post("/classify", json={"image": encoded(image)})
    add = taught.teach("red", image)
    details = {taught.problem(each, status, kind) for each in (raw, form, body, add)}
    assert len(details) == 1
    assert taught.version == version


def gradient(mode: str) -> Image.Image:
    return Image.linear_gradient("L").resize((64, 64)).convert("RGB").convert(mode)


def rotated(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(gradient("RGB"), "JPEG", exif=exif.tobytes(), quality=95)


ODD_IMAGES = {
    "CMYK": saved(gradient("CMYK"), "JPEG"),
    "grey": saved(gradient("L")),
    "16-bit": saved(Image.new("I;16", (64, 64), 40_000)),
    "palette": saved(gradient("P")),
    "alpha": saved(gradient("RGBA")),
    "grey and alpha": saved(gradient("LA")),
    "1 bit": saved(gradient("1")),
    "1 x 1": picture(RED, (1, 1)),
    "a strip": picture(RED, (1, 2000)),
    "EXIF": rotated(6),
    "animated": saved(
        gradient("RGB"), "WEBP", save_all=True, append_images=[gradient("RGB").rotate(90)]
    ),
    "no image by its name": picture(RED),
}


@pytest.mark.parametrize("name", ODD_IMAGES)
def test_an_odd_image_is_an_image(taught: Service, name: str) -> None:
    response = taught.http.post("/classify", files={"image": ("a.txt", ODD_IMAGES[name])})
    assert response.status_code == 200, response.text


def test_an_image_that_is_stored_turned_is_taken_upright(taught: Service) -> None:
    upright = saved(gradient("RGB").transpose(Image.Transpose.ROTATE_270), "JPEG", quality=95)
    straight, turned, lying = (
        taught.ask(image).json()["predictions"][0]["logit"]
        for image in (upright, rotated(6), rotated(1))
    )
    # JPEG loses a little, and not the same in both directions.
    assert abs(turned - straight) < abs(lying - straight) / 5


def test_20_megabytes_and_one_byte(taught: Service) -> None:
    image = picture() + b"\0" * (20 * MIB - len(picture()))
    assert taught.ask(image).status_code == 200
    detail = taught.problem(taught.ask(image + b"\0"), 413, "image-too-large")
    assert "expected at most 20971520 bytes, got 20971521" in detail
    form = taught.http.post("/classify", files={"image": image + b"\0"})
    assert taught.problem(form, 413, "image-too-large") == detail


def test_an_image_over_the_limit_however_it_is_sent(small: Service) -> None:
    image = picture() + b"\0" * (LIMIT + 1 - len(picture()))

    def chunks() -> Iterator[bytes]:
        yield image

    for response in (
        small.ask(image),
        small.http.post("/classify", content=chunks(), headers=PNG),
        small.http.post("/classify", files={"image": image}),
        small.http.post("/classify", json={"image": encoded(image)}),
        small.teach("red", image),
    ):
        small.problem(response, 413, "image-too-large")


def test_a_body_over_the_limit_is_refused_while_it_comes(small: Service) -> None:
    images = [("image", b"x" * LIMIT)] * 5
    for path in ("/classify/batch", "/cache/add"):
        small.problem(small.http.post(path, files=images), 413, "body-too-large")
    small.problem(small.http.post("/classify", files=images[:3]), 413, "body-too-large")
    texts = {"images": [encoded(b"x" * LIMIT)] * 4}
    small.problem(small.http.post("/classify/batch", json=texts), 413, "body-too-large")


def test_an_endless_body_is_cut_off(small: Service) -> None:
    """The answer comes before the body has ended, and the connection is closed."""
    host, port = small.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(
            b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        piece = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
        for _ in range(LIMIT // 0x8000 + 1):
            connection.sendall(piece)
        answer = b""
        while received := connection.recv(65536):
            answer += received
    assert b" 413 " in answer.splitlines()[0]
    assert b"connection: close" in answer.lower()


def test_a_declared_length_over_the_limit_is_refused_before_a_byte_of_it(small: Service) -> None:
    host, port = small.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(
            b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
            b"Expect: 100-continue\r\nContent-Length: 9999999999\r\n\r\n"
        )
        assert b" 413 " in connection.recv(65536).splitlines()[0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("[" + "0.5," * 31 + "NaN]", "finite numbers of 32 bits, got nan at position 31"),
        ("[Infinity" + ",0.5" * 31 + "]", "got inf at position 0"),
        ("[1e39" + ",0.5" * 31 + "]", "got 1e+39 at position 0"),
        ("[1e999" + ",0.5" * 31 + "]", "got inf at position 0"),
        ("[" + "0," * 31 + "0]", "nothing but zeros"),
        ("[1e-60" + ",0" * 31 + "]", "nothing but zeros"),
        ("[" + "0.5," * 30 + "0.5]", "expected 32 numbers, the width of this model's"),
        ("[]", "expected 32 numbers"),
        ("[" + "0.5," * 31 + '"0.5"]', "embedding.31: expected a valid number"),
        ("0.5", "embedding: expected a valid array"),
    ],
)
def test_embeddings_that_cannot_be(taught: Service, values: str, message: str) -> None:
    body = f'{{"embedding": {values}}}'
    response = taught.http.post("/classify", content=body, headers=JSON)
    assert message in taught.problem(response, 422, "invalid")
    if values.startswith("["):
        body = f'{{"label": "red", "embeddings": [{values}]}}'
        add = taught.http.post("/cache/add", content=body, headers=JSON)
        taught.problem(add, 422, "invalid")


@pytest.mark.parametrize(
    ("path", "header"),
    [
        ("/classify", "text/plain"),
        ("/classify", "image/gif"),
        ("/classify", "application/octet-stream"),
        ("/classify", "application/x-www-form-urlencoded"),
        ("/classify", None),
        ("/classify/batch", "image/png"),
        ("/cache/add", "image/png"),
        ("/cache/add", "text/json"),
    ],
)
def test_other_content_types_are_refused(taught: Service, path: str, header: str | None) -> None:
    headers = {"Content-Type": header} if header else {}
    response = taught.http.post(path, content=picture(), headers=headers)
    detail = taught.problem(response, 415, "unsupported-content-type")
    assert "multipart/form-data" in detail
    assert repr(header) in detail if header else "got none" in detail


@pytest.mark.parametrize("path", ["/classify", "/classify/batch", "/cache/add"])
@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"", 400, "malformed"),
        (b"{", 400, "malformed"),
        (b"\xff\xfe", 400, "malformed"),
        (b"[" * 900, 400, "malformed"),
        (b"[]", 422, "invalid"),
        (b'"image"', 422, "invalid"),
        (b'{"picture": "a"}', 422, "invalid"),
        (b'{"label": "a"}', 422, "invalid"),
        (b"{}", 422, "invalid"),
    ],
)
def test_json_that_cannot_be(
    taught: Service, path: str, body: bytes, status: int, kind: str
) -> None:
    response = taught.http.post(path, content=body, headers=JSON)
    taught.problem(response, status, kind)


@pytest.mark.parametrize("path", ["/classify", "/classify/batch", "/cache/add"])
def test_unknown_form_fields_are_refused(taught: Service, path: str) -> None:
    files = {"image": picture(), "picture": picture()}
    response = taught.http.post(path, files=files, data={"label": "red"} if "add" in path else {})
    assert "'picture': unknown, expected one of" in taught.problem(response, 422, "invalid")


def test_base64_that_is_none(taught: Service) -> None:
    for text in ("!", "abc", "data:image/png;base64,AAAA", "A" * 3 + "\n"):
        response = taught.http.post("/classify", json={"image": text})
        assert "expected base64" in taught.problem(response, 400, "malformed")
        body = {"label": "red", "images": [encoded(picture()), text]}
        taught.problem(taught.http.post("/cache/add", json=body), 400, "malformed")


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    body=st.one_of(
        st.binary(max_size=300),
        st.text(max_size=100).map(str.encode),
        st.binary(max_size=60).map(lambda tail: picture()[:40] + tail),
        st.dictionaries(
            st.sampled_from(["label", "image", "images", "embedding", "embeddings", "captions"]),
            st.one_of(st.text(), st.lists(st.floats()), st.lists(st.text()), st.none()),
        ).map(lambda fields: httpx.Request("POST", "http://x", json=_finite(fields)).content),
        st.binary(max_size=200).map(lambda data: b"--x\r\n" + data + b"\r\n--x--"),
    ),
    kind=st.sampled_from(
        [
            "image/png",
            "image/jpeg",
            "application/json",
            "multipart/form-data; boundary=x",
            "",
            "a/b",
        ]
    ),
    path=st.sampled_from(["/classify", "/classify/batch", "/cache/add"]),
)
def test_no_bytes_whatever_make_it_fail(taught: Service, body: bytes, kind: str, path: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    response = taught.http.post(path, content=body, headers=headers)
    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        assert response.headers["content-type"] == "application/problem+json"


def _finite(fields: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN; the tests above send some by hand."""
    return {
        name: [0.0 if value != value or abs(value) == float("inf") else value for value in values]
        if isinstance(values, list) and values and isinstance(values[0], float)
        else values
        for name, values in fields.items()
    }


def test_photographs_of_all_sorts_are_classified(taught: Service, data_dir: Path) -> None:
    photographs = sorted((data_dir / "photos").glob("*.jpg"))[:12]
    files = [("image", path.read_bytes()) for path in photographs]
    results = taught.http.post("/classify/batch", files=files).json()["results"]
    assert len(results) == len(photographs) > 0
    assert all("error" not in each for each in results)
