"""Forms: what goes in comes out of two independent readers, byte for byte."""

from __future__ import annotations

from email import policy
from email.parser import BytesParser

from hypothesis import given
from hypothesis import strategies as st

from loadkit.chat.request import Attachment, form
from loadkit.sandbox.params import Upload, parse_body

CONTENTS = st.binary(max_size=200) | st.sampled_from([b"\r\n", b"--", b"\r\n--loadkit", b"\x00\xff", b""])


@given(st.text(), st.lists(CONTENTS, min_size=1, max_size=3))
def test_a_form_is_read_back(text: str, contents: list[bytes]) -> None:
    """By the standard library's reader of messages: the field first, then every file under the one name."""
    files = [Attachment(f"{n}.bin", content, "image/png") for n, content in enumerate(contents)]
    content_type, body = form({"content": text, "echo_id": "lk-1"}, files)
    message = BytesParser(policy=policy.HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    names = [part.get_param("name", header="content-disposition") for part in message.iter_parts()]
    assert names == ["content", "echo_id", *["attachments[]"] * len(files)]
    boundary = content_type.partition("boundary=")[2].encode()
    parts = body.split(b"\r\n--" + boundary)
    assert [part.partition(b"\r\n\r\n")[2] for part in parts[:-1]] == [text.encode(), b"lk-1", *contents]
    assert parts[-1] == b"--\r\n"


def test_the_sandbox_reads_a_form() -> None:
    """As fields and uploads."""
    content_type, body = form({"content": "Grüße 😀"}, [Attachment("photo.png", b"\x89PNG\r\n\x1a\n\x00", "image/png")])
    assert parse_body(content_type, body) == {
        "content": "Grüße 😀",
        "attachments": [Upload("photo.png", "image/png", b"\x89PNG\r\n\x1a\n\x00")],
    }


def test_a_name_does_not_leave_its_quotes() -> None:
    """Neither a quote nor a line break of a file's name is one in the header."""
    _, body = form({}, [Attachment('a"\r\nX: y', b"", "text/plain\r\nX: y")])
    assert b"\r\nX: y" not in body
    assert b'filename="a___X: y"' in body
