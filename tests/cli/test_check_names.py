"""``turnout check`` finds names of templates and actions that nothing has, before a visitor does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from projects import make_project

from turnout.cli.main import main

ACTION = "from turnout import action\n\n\n@action\nasync def write(title: str): ...\n"
PAGE = 'from turnout import render\n\n\nasync def GET():\n    return render("posts.html")\n'
FILES = {
    "pyproject.toml": (
        '[tool.turnout]\nallowed_hosts = ["localhost"]\n'
        '[tool.turnout.mail]\ntransport = "smtp"\nsender = "a@b.example"\n'
    ),
    "app/actions.py": f'auth = "public"\n{ACTION}',
    "app/posts/route.py": PAGE,
    "templates/base.html": "{% block main %}{% endblock %}",
    "templates/posts.html": '{% extends "base.html" %}\n{% block main %}{{ actions.write.url }}{% endblock %}',
    "templates/mail/welcome.txt": "Hello",
    "templates/auth/sign-in.html": '{% extends "layout.html" %}',  # of the package
    "templates/logo.png": "x",
}


def checked(root: Path, files: dict[str, str], capsys: Any) -> list[tuple[str, int | None, str, str]]:
    """What is found in *files*: file, line, message and cure."""
    make_project(root, FILES | files)
    status = main(["check", str(root), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert status == (1 if said["problems"] else 0), said
    return [
        (Path(each["file"]).relative_to(root).as_posix(), each["line"], each["message"], each["cure"])
        for each in said["problems"]
    ]


def test_a_project_whose_names_are_right_has_no_problems(tmp_path: Path, capsys: Any) -> None:
    files = {
        "app/a/route.py": """
            import turnout
            from turnout import render as page, send_email
            from turnout.templates import render_text, templates

            templates().environment.filters["loud"] = str.upper


            def render(name):
                return name


            async def GET(request):
                await send_email(to="a@example.com", subject="Hello", template="welcome")
                render("of its own")
                name = request.path
                render_text("mail/welcome.txt")
                page(name)
                turnout.render(f"{name}.html")
                return page("a.html")
        """,
        "templates/a.html": (
            '{% include "nowhere.html" ignore missing %}{% include ["nowhere.html", "base.html"] %}'
            "{% include request.path %}{{ request.path|loud }}{{ actions|list }}"
        ),
        "templates/macros.html": "{% macro all(actions) %}{{ actions.anything }}{% endmacro %}",
    }
    assert checked(tmp_path, files, capsys) == []


def test_a_misspelt_template_is_found_where_it_is_named(tmp_path: Path, capsys: Any) -> None:
    files = {
        "app/posts/route.py": PAGE.replace("posts.html", "pots.html"),
        "app/a/route.py": PAGE.replace("import render", "import render as page").replace(" render(", " page("),
        "lib/texts.py": (
            "import turnout.templates\nfrom turnout import send_email\n\n\nasync def hello():\n"
            '    turnout.templates.render_text("nothing-like-it")\n'
            '    await send_email(to="a@example.com", subject="x", template="wellcome")\n'
        ),
        "templates/posts.html": '{% extends "bsae.html" %}\n\n{% include ["a.html", "b.html"] %}',
    }

    assert checked(tmp_path, files, capsys) == [
        ("app/posts/route.py", 5, "there is no template 'pots.html'", "did you mean posts.html?"),
        ("lib/texts.py", 6, "there is no template 'nothing-like-it'", "make the file templates/nothing-like-it"),
        ("lib/texts.py", 7, "there is no mail template 'wellcome'", "did you mean welcome?"),
        ("templates/posts.html", 1, "there is no template 'bsae.html'", "did you mean base.html?"),
        ("templates/posts.html", 3, "there is no template 'a.html'", "did you mean base.html?"),
    ]


def test_an_action_that_there_is_none_of_is_found_in_the_template(tmp_path: Path, capsys: Any) -> None:
    files = {"templates/posts.html": "\n{{ actions.wirte.url }}\n{{ actions.other.bind(id=1).url }}{{ actions.write }}"}

    assert checked(tmp_path, files, capsys) == [
        ("templates/posts.html", 2, "no actions.py has an action 'wirte'", "did you mean write?"),
        (
            "templates/posts.html", 3, "no actions.py has an action 'other'",
            "turnout routes --actions lists those that there are",
        ),
    ]  # fmt: skip


def test_a_page_may_be_given_actions_of_its_own(tmp_path: Path, capsys: Any) -> None:
    files = {
        "app/posts/route.py": PAGE.replace('"posts.html"', '"posts.html", actions={"anything": 1}'),
        "templates/posts.html": "{{ actions.anything }}",
    }
    assert checked(tmp_path, files, capsys) == []


def test_a_template_named_where_there_are_none_is_found_too(tmp_path: Path, capsys: Any) -> None:
    make_project(tmp_path, {"app/posts/route.py": PAGE})

    assert main(["check", str(tmp_path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["problems"][0]["line"] == 5
