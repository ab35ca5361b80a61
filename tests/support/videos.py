"""Results that begin as videos and GIFs do, which is what a download checks."""

MP4_HEAD = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"


def mp4(content: bytes) -> bytes:
    return MP4_HEAD + content


def gif(content: bytes) -> bytes:
    return b"GIF89a" + content
