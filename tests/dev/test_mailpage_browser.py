"""A hostile message in a real browser: it is seen, and does nothing."""

from __future__ import annotations

from pathlib import Path

from browsers import chromium, new_context
from dev.test_server import Dev

ROUTE = '''from turnout import send_email

HTML = """<h1>Seen</h1><script>document.body.append("RAN"); top.document.title = "RAN"</script>
<img src="http://127.0.0.1:9/x.png" onerror="document.body.append('RAN')">
<svg onload="document.body.append('RAN')"></svg>
<meta http-equiv="refresh" content="0;url=/api/hello"><iframe src="/api/hello"></iframe>
<form id="f" action="/api/hello"></form><a id="top" href="/api/hello" target="_top">top</a>
<style>h1 { color: rgb(1, 2, 3) } body { background: url(http://127.0.0.1:9/bg.png) }</style>"""


async def GET():
    await send_email(to="ada@example.com", subject="<b>Hi</b>", html=HTML)
    return "sent"
'''


def test_a_hostile_message_is_seen_and_does_nothing(tmp_path: Path) -> None:
    route = tmp_path / "app/api/hello/route.py"
    route.parent.mkdir(parents=True)
    route.write_text(ROUTE)
    with Dev(tmp_path) as dev, chromium() as browser:
        dev.get("/api/hello")
        page = new_context(browser).new_page()
        answered: list[str] = []
        page.on("response", lambda response: answered.append(response.url))
        page.goto(f"http://127.0.0.1:{dev.port}/__dev/mail")
        page.click("li a")
        frame = page.frame_locator("iframe")
        frame.locator("h1").wait_for()
        frame.locator("#top").click()
        page.wait_for_timeout(300)

        for place in (page, page.frames[1]):
            assert "RAN" not in place.inner_text("body") and place.title() != "RAN"
        assert page.title() == "<b>Hi</b>" and "/__dev/mail/" in page.url
        # No route was asked by it, and nothing elsewhere.
        assert all("/__dev/mail" in url for url in answered), answered
    assert len(list((tmp_path / "data/outbox").glob("*.eml"))) == 1
