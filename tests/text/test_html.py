from __future__ import annotations

from bulk_sender.text.html import html_text, is_html


def test_html_becomes_the_text_that_a_reader_sees() -> None:
    page = (
        "<!DOCTYPE html><html><head><title>t</title><style>p {}</style></head><body><h1>Hi &amp; bye</h1>"
        "<p>a <b>b</b><br>c</p><script>x()</script><a href='https://x.example'>here</a><img alt='logo'></body></html>"
    )
    assert html_text(page) == "Hi & bye\na b\nc\nhere <https://x.example>[logo]"


def test_text_is_not_taken_for_html() -> None:
    assert is_html("<p>a</p>")
    assert not is_html("1 < 2 and {{ a }}")
