"""What `benchmarks.abuse` sends: damaged pictures, requests that two readers read differently, archives."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from PIL import Image

BOUNDARY = "hostile"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_SIGNATURES = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPVP8 ", b"GIF89a", b"BM", b"II*\0", b"MM\0*"),
    *(
        b"\0\0\0\x1cftypavif",
        b"\0\0\0\x1cftypheic",
        b"\x00\x00\x00\x0cjP  ",
        b"8BPS",
        b"%PDF-1.7",
        b"PK\x03\x04",
    ),
    *(b"<svg xmlns='http://www.w3.org/2000/svg'>", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\x7fELF"),
)


class Sent(NamedTuple):
    """A request's body, and its type."""

    what: str
    body: bytes
    media_type: str = FORM


def part(name: str, content: bytes, file_name: str | None = None, more: str = "") -> bytes:
    """One part of a form."""
    told = "" if file_name is None else f'; filename="{file_name}"'
    return (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{told}\r\n{more}\r\n'.encode()
        + content
        + b"\r\n"
    )


def form(*parts: bytes) -> bytes:
    """A whole form."""
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def picture_form(image: bytes, name: str = "image") -> bytes:
    """The form that `curl -F image=@image.jpg` sends."""
    return form(part(name, image, "image.jpg"))


# --- pictures -------------------------------------------------------------------------------------------


def mutate(images: Sequence[bytes], number: int, seed: int) -> Iterator[bytes]:
    """So many damaged pictures: cut, flipped, spliced, with another's beginning, of impossible sides."""
    rng = random.Random(seed)
    whole = [_convert(image, form) for image in images[:3] for form in FORMATS]
    ways = (_cut, _flip, _splice, _disguise, _blow_up, _repeat)
    for _ in range(number):
        yield rng.choice(ways)(rng, rng.choice(whole), whole)


def _convert(image: bytes, form: str) -> bytes:
    buffer = io.BytesIO()
    picture = Image.open(io.BytesIO(image)).resize((160, 120))
    picture.save(buffer, form)
    return buffer.getvalue()


def _cut(rng: random.Random, raw: bytes, _: Sequence[bytes]) -> bytes:
    return raw[: rng.randrange(len(raw))]


def _flip(rng: random.Random, raw: bytes, _: Sequence[bytes]) -> bytes:
    damaged = bytearray(raw)
    for _flip in range(rng.choice((1, 4, 64))):
        damaged[rng.randrange(rng.choice((64, len(raw))))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _splice(rng: random.Random, raw: bytes, whole: Sequence[bytes]) -> bytes:
    other, at = rng.choice(whole), rng.randrange(len(raw))
    return raw[:at] + other[rng.randrange(len(other)) :]


def _disguise(rng: random.Random, raw: bytes, _: Sequence[bytes]) -> bytes:
    signature = rng.choice(_SIGNATURES)
    return signature + (raw[len(signature) :] if rng.random() < 0.5 else rng.randbytes(rng.randrange(2_000)))


def _blow_up(rng: random.Random, _: bytes, __: Sequence[bytes]) -> bytes:
    """A PNG whose head tells sides that its pixels do not fill."""
    sides = [rng.choice((0, 1, 5_000, 65_535, 2**31 - 1, 2**32 - 1)) for _ in range(2)]
    head = struct.pack(">IIBBBBB", *sides, rng.choice((1, 8, 16, 7)), rng.choice((0, 2, 3, 4, 6, 5)), 0, 0, 0)
    chunks = (b"IHDR", head), (b"IDAT", zlib.compress(rng.randbytes(100))), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*each) for each in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _repeat(rng: random.Random, raw: bytes, _: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(raw))
    return raw[:at] + raw[at : at + rng.randrange(1, 64)] * rng.randrange(1, 500) + raw[at:]


# --- forms and requests ---------------------------------------------------------------------------------


def wrong_forms(image: bytes) -> list[Sent]:
    """Bodies of POST /predict that are no form with one picture."""
    good = part("image", image, "a.jpg")
    texts = (
        "http://127.0.0.1:1/a.jpg",
        "file:///etc/passwd",
        "/etc/passwd",
        "data:image/png;base64,AAAA",
        "",
    )
    inner = part("image", image, "a.jpg").replace(BOUNDARY.encode(), b"inner") + b"--inner--\r\n"
    return [
        *(Sent(f"text {text[:20]!r} as image", form(part("image", text.encode()))) for text in texts),
        *(Sent(f"file that holds {text[:20]!r}", picture_form(text.encode())) for text in texts),
        Sent("JSON", b'{"image": "http://127.0.0.1/"}', "application/json"),
        Sent("url-encoded", b"image=http://127.0.0.1/", "application/x-www-form-urlencoded"),
        Sent("two boundaries", form(good), f"{FORM}; boundary=other"),
        Sent("no boundary", form(good), "multipart/form-data"),
        Sent("a boundary of 10,000 characters", form(good), f"multipart/form-data; boundary={'b' * 10_000}"),
        Sent(
            "nested multipart",
            form(part("image", inner, more="Content-Type: multipart/mixed; boundary=inner\r\n")),
        ),
        Sent("10,000 parts", form(*[part("a", b"")] * 10_000)),
        Sent("nine pictures", form(*[good] * 9)),
        Sent("no end", good),
        Sent("no part", form()),
        Sent("a part without a name", form(good.replace(b'name="image"; ', b""))),
        Sent(
            "a part's head of 100,000 bytes", form(part("image", image, "a.jpg", f"X: {'x' * 100_000}\r\n"))
        ),
        Sent(
            "base64 as transfer encoding",
            form(part("image", image, "a.jpg", "Content-Transfer-Encoding: base64\r\n")),
        ),
        Sent("a file name with a path", form(part("image", image, "../../../etc/cron.d/x"))),
        Sent("a file name of 60,000 characters", form(part("image", image, "n" * 60_000))),
        Sent("a NUL in a name", form(part("im\0age", image, "a\0.jpg"))),
        Sent("a box without end", form(good, part("box", b"1" * 1_000))),
        Sent("a box that is not finite", form(good, part("box", b"nan,inf,-inf,1e999"))),
        Sent("a group of invalid UTF-8", form(good, part("group", b"\xff\xfe"))),
    ]


def smuggling(key: str, image: bytes) -> list[tuple[str, bytes]]:
    """Raw requests that a proxy might read otherwise than the service; one answer at most may come."""
    body = picture_form(image)
    head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {key}\r\nContent-Type: {FORM}\r\n"
    hidden = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    length, chunked = f"Content-Length: {len(body)}\r\n", "Transfer-Encoding: chunked\r\n"
    lines = {
        "two lengths, alike": length + length,
        "two lengths, unlike": length + "Content-Length: 0\r\n",
        "a list of lengths": f"Content-Length: {len(body)}, 0\r\n",
        "length and chunked": length + chunked,
        "chunked and length": chunked + length,
        "chunked twice": chunked + chunked,
        "chunked, unlike spelt": "Transfer-Encoding: xchunked\r\n",
        "chunked behind a tab": "Transfer-Encoding:\tchunked, identity\r\n",
        "gzip, chunked": "Transfer-Encoding: gzip, chunked\r\n",
        "a space before the colon": f"Content-Length : {len(body)}\r\n",
        "a folded line": f"X: a\r\n {length}",
        "a length with a sign": f"Content-Length: +{len(body)}\r\n",
        "a negative length": "Content-Length: -1\r\n",
        "a length in hexadecimal": f"Content-Length: {len(body):#x}\r\n",
        "a length of 40 digits": f"Content-Length: {'9' * 40}\r\n",
        "bare line feeds": length.replace("\r\n", "\n"),
        "a NUL in a value": f"X: a\0b\r\n{length}",
        "two hosts": f"Host: other\r\n{length}",
        "two keys": f"X-API-Key: {key}\r\n{length}",
        "two content types": f"Content-Type: text/plain\r\n{length}",
        "1,000 headers": "".join(f"X-{each}: 1\r\n" for each in range(1_000)) + length,
        "a header of 100,000 bytes": f"X: {'x' * 100_000}\r\n{length}",
    }
    raw = [(name, f"{head}{line}\r\n".encode("latin-1") + body + hidden) for name, line in lines.items()]
    sizes = (b"1;" + b"x" * 50_000, b"-1", b"FFFFFFFFFFFFFFFFFF", b"0x10", b" 10", b"1\n")
    raw += [
        (f"a chunk's size {size[:8]!r}", f"{head}{chunked}\r\n".encode() + size + b"\r\n" + body + hidden)
        for size in sizes
    ]
    first = [b"GET /livez", b"GET /livez HTTP/9.9", b"GET  /livez  HTTP/1.1", b"G\0T /livez HTTP/1.1"]
    first += [b"\x16\x03\x01\x02\x00\x01\x00", b"PRI * HTTP/2.0", b"GET http://127.0.0.1/livez HTTP/1.1"]
    first += [b"GET /livez\x00 HTTP/1.1", b"GET /../livez HTTP/1.1", b"GET //livez HTTP/1.1", b"\r\n" * 1_000]
    return raw + [(f"first line {each[:24]!r}", each + b"\r\nHost: 127.0.0.1\r\n\r\n") for each in first]


# --- archives -------------------------------------------------------------------------------------------


def archives(image: bytes) -> list[tuple[str, bytes]]:
    """ZIP files and what they are called."""
    picture = _pack({"a.jpg": image})
    bomb = _pack({"a.jpg": bytes(900_000_000)})
    five = _pack({f"{each}.jpg": image for each in range(5)})
    many = _pack({f"{each}.jpg": b"" for each in range(100_000)})
    return [
        ("100,000 entries", many),
        ("100,000 entries, one told", many[:-14] + struct.pack("<HH", 1, 1) + many[-10:]),
        ("archives in archives", _pack({"a.zip": _pack({"b.zip": picture}), "c.jpg": image})),
        (
            "paths that lead out",
            _pack(dict.fromkeys(("../a.jpg", "/b.jpg", "C:\\c.jpg", "..\\d.jpg"), image)),
        ),
        ("a bomb of 1.2 GB", _pack({f"{each}.jpg": bytes(300_000_000) for each in range(4)})),
        ("a bomb in a file", bomb),
        ("a bomb that tells 10 bytes", _lie(bomb, 10)),
        ("50 entries of one file", _overlap(picture, 50)),
        ("encrypted", picture.replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01")),
        ("random bytes", random.Random(1).randbytes(100_000)),
        ("cut in half", picture[: len(picture) // 2]),
        ("an end alone", b"PK\x05\x06" + bytes(18)),
        ("an end of ones", b"PK\x05\x06" + b"\xff" * 18),
        ("a text", b"http://127.0.0.1/photos.zip"),
        *((f"flipped {seed}", _flip(random.Random(seed), five, ())) for seed in range(200)),
    ]


def _pack(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for name, content in members.items():
            packed.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _lie(archive: bytes, size: int) -> bytes:
    """An archive of one file whose directory tells another unpacked size."""
    at = archive.rindex(b"PK\x01\x02") + 24
    return archive[:at] + struct.pack("<I", size) + archive[at + 4 :]


def _overlap(archive: bytes, number: int) -> bytes:
    """An archive whose directory names its one file so many times."""
    at, end = archive.rindex(b"PK\x01\x02"), archive.rindex(b"PK\x05\x06")
    entry = archive[at:end]
    told = struct.pack("<HHII", number, number, number * len(entry), at)
    return archive[:at] + entry * number + archive[end : end + 8] + told + archive[end + 20 :]
