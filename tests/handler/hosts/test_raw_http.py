"""Requests byte by byte, against `minnow serve` on the stack that ships: what is refused, how, and
in which state the connection is left."""

import hashlib

import httpx
import pytest

from tests.helpers.raw_http import NEXT, stays_open, talk
from tests.helpers.served import serve_bundle

pytestmark = pytest.mark.slow

KEY = "a-long-and-random-key"
BODY = b'{"text":"good film"}'
POST = b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nx-api-key: "
POST += KEY.encode() + b"\r\n"
GET = b"GET /health HTTP/1.1\r\nhost: a\r\n"
LENGTH = b"content-length: %d\r\n" % len(BODY)
CHUNKED = b"transfer-encoding: chunked\r\n"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
SMUGGLED = b"0\r\n\r\n" + GET + b"x: "


@pytest.fixture(scope="module")
def port(tiny_bundle):
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    with serve_bundle(tiny_bundle, MINNOW_API_KEYS=f"shop:{digest}") as served:
        yield served.port
        assert httpx.get(f"{served.url}/health").status_code == 200


def name(value):
    return repr(value)[-44:] if isinstance(value, bytes) else None


# Two readers could disagree where such a request ends: one answer, and no further word on the
# connection is taken for a request (RFC 9112: 5.2, 6.1, 6.3, 7.1).
AMBIGUOUS = [
    *(
        first + second
        for one, other in (
            (LENGTH, CHUNKED),
            (b"content-length: 0\r\n", CHUNKED),
            (LENGTH, b"Transfer-Encoding: Chunked\r\n"),
            (LENGTH, b"transfer-encoding:chunked\r\n"),
            (LENGTH, b"transfer-encoding:\tchunked\r\n"),
            (LENGTH, b"transfer-encoding:  chunked  \r\n"),
            (LENGTH, b"transfer-encoding: identity\r\n"),
            (LENGTH, b"transfer-encoding: gzip, chunked\r\n"),
            (LENGTH, b"transfer-encoding: xchunked\r\n"),
            (LENGTH, b"transfer-encoding: \x0bchunked\r\n"),
            (LENGTH, b"content-length: 5\r\n"),
            (LENGTH, LENGTH),
            (LENGTH, b"Content-Length: 0\r\n"),
        )
        for first, second in ((one, other), (other, one))
    ),
    LENGTH + b"transfer-encoding:\r\n chunked\r\n",
    LENGTH + b"x: a\r\n transfer-encoding: chunked\r\n",
    LENGTH + b"x: a\r\n\ttransfer-encoding: chunked\r\n",
    b"content-length:\r\n 20\r\n",
    LENGTH + b"transfer-encoding : chunked\r\n",
    LENGTH + b"transfer-encoding\r\n",
    LENGTH + b"transfer-encoding\x00: chunked\r\n",
    LENGTH + b" transfer-encoding: chunked\r\n",
    LENGTH[:-2] + b"\n" + CHUNKED,
    LENGTH + b"x: a\rtransfer-encoding: chunked\r\n",
    LENGTH + b"x: a\n\rtransfer-encoding: chunked\r\n",
    *(
        b"content-length: " + value + b"\r\n"
        for value in (
            b"+20", b"-1", b"0x14", b"2 0", b"20, 20", b"20,", b"20;", b"20.0", b"2e1", b"\xb2",
            b"99999999999999999999999", b"18446744073709551616", b"twenty", b'"20"', b"20\x00",
        )
    ),
    *(
        b"transfer-encoding: " + value + b"\r\n"
        for value in (
            b"gzip", b"identity", b"chunked, gzip", b"gzip, chunked", b"chunked, chunked",
            b"xchunked", b"chunked x", b"chunked;q=1", b'"chunked"', b"chu\x00nked", b"\x00",
        )
    ),
    CHUNKED + CHUNKED,
    CHUNKED + b"transfer-encoding: identity\r\n",
    b"transfer-encoding: identity\r\n" + CHUNKED,
    b"transfer-encoding:\r\n chunked\r\n",
]  # fmt: skip


@pytest.mark.parametrize("headers", AMBIGUOUS, ids=name)
def test_a_request_with_two_ends_is_refused_and_its_connection_closed(port, headers):
    statuses = talk(port, POST + headers + b"\r\n" + SMUGGLED + b"\r\n\r\n", NEXT)

    assert len(statuses) == 1
    assert statuses[0] in (400, 501)
    assert talk(port, NEXT) == [200]


BROKEN_CHUNKS = [
    b"g\r\n", b"-1\r\n", b"+5\r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", b"\r\n",
    b"5 \r\nhello\r\n",
    b" 5\r\nhello\r\n", b"5\nhello\r\n0\r\n\r\n", b"5\rhello", b"5\r\nhello0\r\n\r\n",
    b"5\r\nhelloX\r\n0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n", b"fffffffffffffffff\r\nhello\r\n",
    b"8000000000000000f\r\n", b"5;a\n\r\nhello\r\n", b"5\r\nhello\r\n0\r\nx : y\r\n\r\n",
    b"5\r\nhello\r\n0\r\nx: y\n\r\n\r\n", b"5\r\nhello\r\n0\r\n x: y\r\n\r\n",
    b"5\r\nhello\r\n0\r\nx\r\n\r\n",
    b"\x00", b"5;\x00\r\nhello\r\n", b"5\r\nhello\r\n0\r\nx: a\x00b\r\n\r\n",
]  # fmt: skip


@pytest.mark.parametrize("chunks", BROKEN_CHUNKS, ids=name)
def test_chunks_that_are_none_are_refused_and_the_connection_closed(port, chunks):
    statuses = talk(port, POST + CHUNKED + b"\r\n" + chunks, NEXT)

    assert statuses == [400]
    assert talk(port, NEXT) == [200]


BROKEN_HEADS = [
    (b"GET /health HTTP/1.1\r\n\r\n", 400),
    (GET + b"host: a\r\n\r\n", 400),
    (GET + b"host: b\r\n\r\n", 400),
    *((b"GET /health HTTP/1.1\r\nhost: " + host + b"\r\n\r\n", 400)
      for host in (b"a b", b"a/b", b"a@b", b"a?b", b"a#b", b"a\\b", b'"a"', b"<a>", b"\xc3\xa4",
                   b"a\tb")),
    (b"GET /health HTTP/1.1\nhost: a\n\n", 400),
    (b"GET /health HTTP/1.1\rhost: a\r\r", 400),
    (b"GET /health\r\n\r\n", 505),
    (b"GET /health HTTP/1.1 \r\nhost: a\r\n\r\n", 400),
    (b"GET\t/health HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b" GET /health HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"GET health HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"GET /he alth HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"GET /\x00 HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"GET /%ff HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"GET /\xff HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"GET * HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"get /health HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"G\xcbT /health HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"BREW /health HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"GET /health HTTP/0.9\r\nhost: a\r\n\r\n", 505),
    (b"GET /health HTTP/1.2\r\nhost: a\r\n\r\n", 400),
    (b"GET /health HTTP/2.0\r\nhost: a\r\n\r\n", 505),
    (b"GET /health HTTP/9.9\r\nhost: a\r\n\r\n", 400),
    (b"GET /health HTTP/1.10\r\nhost: a\r\n\r\n", 400),
    (b"GET /health http/1.1\r\nhost: a\r\n\r\n", 400),
    (b"GET /health ICE/1.1\r\nhost: a\r\n\r\n", 400),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    (b"CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n", 405),
    (GET + b": no name\r\n\r\n", 400),
    (GET + b"x y: z\r\n\r\n", 400),
    (GET + b"x(: z\r\n\r\n", 400),
    (GET + b"x\xff: z\r\n\r\n", 400),
    (GET + b"x: a\x00b\r\n\r\n", 400),
    (GET + b"x: a\x7fb\r\n\r\n", 400),
    (GET + b"x: a\r\n b\r\n\r\n", 400),
    (GET + b"x: " + b"a" * 40_000 + b"\r\n\r\n", 431),
    (GET + b"x" * 40_000 + b": a\r\n\r\n", 431),
    (GET + b"x: a\r\n" * 200 + b"\r\n", 431),
    (GET + b"x: " + b"a" * 1_000_000, 431),
    (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n", 431),
    (b"GET /" + b"a" * 1_000_000, 431),
    (b"G" * 1_000_000, 400),
    (b"\r\n" * 500_000, 431),
    (b"POST /predict HTTP/1.0\r\n" + CHUNKED + b"\r\n" + CHUNKS, 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    (b"*1\r\n$4\r\nPING\r\n", 400),
    (b"\x00" * 100, 400),
    (b"SSH-2.0-OpenSSH_9.6\r\n", 400),
]  # fmt: skip


@pytest.mark.parametrize(("head", "status"), BROKEN_HEADS, ids=name)
def test_a_head_that_is_none_is_refused_and_the_connection_closed(port, head, status):
    assert talk(port, head, NEXT) == [status]
    assert talk(port, NEXT) == [200]


UPGRADE = b"connection: upgrade\r\nupgrade: h2c\r\n"
UPGRADED_HEADS = [
    (b"POST /predict HTTP/1.0\r\nhost: a\r\n" + UPGRADE + CHUNKED + b"\r\n" + CHUNKS, 400),
    (b"GET /health HTTP/2.0\r\nhost: a\r\n" + UPGRADE + b"\r\n", 505),
    (b"GET /health HTTP/0.9\r\nhost: a\r\n" + UPGRADE + b"\r\n", 505),
    (b"GET /health HTTP/1.1\r\n" + UPGRADE + b"\r\n", 400),
    (POST + UPGRADE + b"transfer-encoding: gzip\r\n\r\n", 501),
    (POST + UPGRADE + LENGTH + CHUNKED + b"\r\n" + CHUNKS, 400),
    (POST + b"expect: 100-continue\r\n" + CHUNKED + b"\r\nzz\r\n", 400),
    (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nhost: a\r\n\r\n", 414),
]


@pytest.mark.parametrize(("head", "status"), UPGRADED_HEADS, ids=name)
def test_an_upgrade_or_expectation_gets_past_no_check(port, head, status):
    assert talk(port, head, NEXT) == [status]


# What is unusual but clear is answered, and the connection goes on.
UNUSUAL = [
    (GET + b"\r\n", [200]),
    (b"\r\n\r\n" + GET + b"\r\n", [200]),
    (b"GET http://a/health HTTP/1.1\r\nhost: a\r\n\r\n", [200]),
    (b"GET /health?a=b#c HTTP/1.1\r\nhost: a\r\n\r\n", [200]),
    (b"GET /%68ealth HTTP/1.1\r\nhost: a\r\n\r\n", [200]),
    (b"GET  /health HTTP/1.1\r\nhost: a\r\n\r\n", [200]),
    (b"GET //health HTTP/1.1\r\nhost: a\r\n\r\n", [404]),
    (b"GET /../health HTTP/1.1\r\nhost: a\r\n\r\n", [404]),
    (b"GET /health HTTP/1.1\r\nhost:\r\n\r\n", [200]),
    (b"GET /health HTTP/1.1\r\nhost: [::1]:80\r\n\r\n", [200]),
    (b"GET /health HTTP/1.1\r\nHOST:a\r\n\r\n", [200]),
    (GET + b"x:\r\n\r\n", [200]),
    (GET + b"x: \xc3\xa4\r\n\r\n", [200]),
    (GET + b"x: a\tb\r\n\r\n", [200]),
    (GET + b"content-length: 0\r\n\r\n", [200]),
    (GET + b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: a\r\n\r\n", [200]),
    (GET + b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: a\r\n\r\n",
     [200]),
    (POST + LENGTH + b"connection: upgrade\r\nupgrade: websocket\r\n\r\n" + BODY, [200]),
    (POST + LENGTH + b"connection: upgrade\r\nupgrade: h2c\r\n\r\n" + BODY, [200]),
    (POST + CHUNKED + b"connection: upgrade\r\nupgrade: h2c\r\n\r\n" + CHUNKS, [200]),
    (POST + LENGTH + b"upgrade: websocket\r\n\r\n" + BODY, [200]),
    ((GET + UPGRADE + b"\r\n") * 3, [200] * 3),
    (GET + b"\r\n" + (POST + UPGRADE + LENGTH + b"\r\n" + BODY) * 2, [200] * 3),
    (b"GET /health HTTP/1.0\r\nconnection: upgrade, keep-alive\r\nupgrade: h2c\r\n\r\n", None),
    (POST + LENGTH + b"\r\n" + BODY, [200]),
    (POST + b"content-length: 00020\r\n\r\n" + BODY, [200]),
    (POST + CHUNKED + b"\r\n" + CHUNKS, [200]),
    (POST + b"transfer-encoding: CHUNKED\r\n\r\n" + CHUNKS, [200]),
    (POST + CHUNKED + b"\r\n00014\r\n" + BODY + b"\r\n000\r\n\r\n", [200]),
    (POST + CHUNKED + b'\r\n14;a=b;c="d"\r\n' + BODY + b"\r\n0\r\n\r\n", [200]),
    (POST + CHUNKED + b"\r\n14\r\n" + BODY + b"\r\n0\r\nx: y\r\n\r\n", [200]),
    (POST + CHUNKED + b"\r\n" + b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n",
     [200]),
    (POST + b"content-length: 0\r\n\r\n", [400]),
    (POST + b"\r\n", [400]),
    (POST + CHUNKED + b"\r\n0\r\n\r\n", [400]),
    (POST + b"content-length: 3\r\n\r\n{ab", [400]),
    (GET + b"\r\n" + POST + LENGTH + b"\r\n" + BODY + GET + b"\r\n", [200, 200, 200]),
    (b"DELETE /predict HTTP/1.1\r\nhost: a\r\n\r\n", [405]),
    (b"HEAD /health HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n", None),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "statuses"), UNUSUAL, ids=name)
def test_an_unusual_request_is_answered_and_its_connection_goes_on(port, raw, statuses):
    if statuses is None:  # a HEAD's answer tells of a body that does not come
        assert talk(port, raw + NEXT)[0] == 200
    else:
        assert stays_open(port, raw) == (statuses, True)


@pytest.mark.parametrize("size", [1, 7], ids=str)
def test_a_request_may_come_in_any_pieces(port, size):
    raw = POST + LENGTH + b"\r\n" + BODY
    pieces = [raw[start : start + size] for start in range(0, len(raw), size)]

    assert stays_open(port, *pieces) == ([200], True)


ENDLESS = b"a" * 50_000_000
KEYLESS = b"POST /predict HTTP/1.1\r\nhost: a\r\n"
LARGE = b"content-length: 50000000\r\n\r\n"
# The head alone brings the refusal: it comes while the client still sends, and can be read.
EARLY = [
    (KEYLESS + LARGE, 401),
    (KEYLESS + b"x-api-key: wrong\r\n" + LARGE, 401),
    (KEYLESS + CHUNKED + b"\r\nffffff\r\n", 401),
    (KEYLESS + b"content-length: 100\r\nexpect: 100-continue\r\n\r\n", 401),
    (KEYLESS + CHUNKED + b"\r\n0\r\nx-api-key: " + KEY.encode() + b"\r\n\r\n", 401),
    (POST + LARGE, 413),
    (POST + b"expect: 100-continue\r\n" + LARGE, 413),
    (b"POST /nowhere HTTP/1.1\r\nhost: a\r\n" + LARGE, 404),
    (b"PUT /predict HTTP/1.1\r\nhost: a\r\n" + LARGE, 405),
    (GET + LARGE, 200),
]


@pytest.mark.parametrize(("head", "status"), EARLY, ids=name)
def test_a_refusal_does_not_wait_for_the_body(port, head, status):
    assert talk(port, head) == [status]
    assert talk(port, head, ENDLESS) == [status]


@pytest.mark.parametrize(
    ("raw", "statuses"),
    [
        (GET + b"\r\nGARBAGE\r\n\r\n", [200, 400]),
        (POST + LENGTH + b"\r\n" + BODY + b"GET /health HTTP/1.1\r\n\r\n", [200, 400]),
        (GET + b"connection: close\r\n\r\n" + GET + b"\r\n", [200]),
        (b"GET /health HTTP/1.0\r\n\r\n" + GET + b"\r\n", [200]),
        (POST + b"connection: close\r\n" + LENGTH + b"\r\n" + BODY + b"GARBAGE", [200]),
        ((GET + b"\r\n") * 20, [200] * 20),
        (GET + b"\r\n" + POST + CHUNKED + b"\r\nzz\r\n", [200, 400]),
        ((POST + LENGTH + b"\r\n" + BODY) * 3 + POST + CHUNKED + b"\r\nzz\r\n", [200] * 3 + [400]),
    ],
    ids=name,
)
def test_answers_come_in_the_order_of_their_requests(port, raw, statuses):
    assert talk(port, raw + (NEXT if len(statuses) < 20 else b""))[: len(statuses)] == statuses
