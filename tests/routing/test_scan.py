"""The app folder to a manifest (http.md 1.1-1.3, 1.5, 1.6)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from turnout.errors import ConfigError
from turnout.routing.manifest import Manifest
from turnout.routing.scan import scan


def write(root: Path, *files: str) -> Path:
    """Make empty *files* below *root*; the app folder, which scan takes."""
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    (root / "app").mkdir(parents=True, exist_ok=True)
    return root / "app"


def patterns(app: Path) -> list[str]:
    return [route.pattern.text for route in scan(app).routes]


def refusal(app: Path, public: Path | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        scan(app, public)
    assert caught.value.cure and caught.value.file
    return caught.value


def test_route_py_serves_the_url_of_its_folder(tmp_path):
    app = write(tmp_path, "app/route.py", "app/api/posts/route.py", "app/rss.xml/route.py", "app/.x/y/route.py")

    assert patterns(app) == ["/", "/.x/y", "/api/posts", "/rss.xml"]


def test_nothing_else_in_a_folder_is_public(tmp_path):
    assert patterns(write(tmp_path, "app/a/schemas.py", "app/a/page.py", "app/a/route.txt", "app/actions.py")) == []


def test_slugs_and_catch_alls_are_holes_in_the_path(tmp_path):
    app = write(tmp_path, "app/a/[id]/route.py", "app/b/[...rest]/route.py", "app/c/[[...rest]]/route.py")

    assert [route.pattern.slugs for route in scan(app).routes] == [("id",), ("rest",), ("rest",)]


def test_a_group_is_dropped_from_the_url(tmp_path):
    assert patterns(write(tmp_path, "app/(site)/(blog)/posts/route.py", "app/(site)/route.py")) == ["/", "/posts"]


def test_a_private_folder_and_all_below_it_is_no_route(tmp_path):
    assert patterns(write(tmp_path, "app/_lib/route.py", "app/a/_x/b/route.py", "app/__pycache__/route.py")) == []


def test_an_escaped_underscore_is_a_real_one(tmp_path):
    assert patterns(write(tmp_path, "app/%5Fnew/route.py")) == ["/_new"]


def test_hidden_folders_are_routes(tmp_path):
    assert patterns(write(tmp_path, "app/.well-known/security.txt/route.py")) == ["/.well-known/security.txt"]


def test_middleware_is_listed_from_the_root_to_the_leaf(tmp_path):
    app = write(
        tmp_path,
        "app/middleware.py",
        "app/(in)/middleware.py",
        "app/(in)/a/middleware.py",
        "app/(in)/a/b/route.py",
        "app/c/route.py",
        "app/c/d/middleware.py",
    )

    below, beside = scan(app).routes

    assert below.middleware == (app / "middleware.py", app / "(in)/middleware.py", app / "(in)/a/middleware.py")
    assert beside.middleware == (app / "middleware.py",)


def test_error_files_are_listed_nearest_first(tmp_path):
    app = write(tmp_path, "app/error.py", "app/(in)/error.py", "app/(in)/a/error.py", "app/(in)/a/route.py")

    assert scan(app).routes[0].errors == (app / "(in)/a/error.py", app / "(in)/error.py", app / "error.py")


def test_files_of_actions_are_listed_with_what_their_folders_add(tmp_path):
    app = write(
        tmp_path,
        "app/middleware.py",
        "app/actions.py",
        "app/(in)/error.py",
        "app/(in)/a/actions.py",
        "app/_private/actions.py",
    )

    root, below = scan(app).actions

    assert (root.file, root.middleware, root.errors) == (app / "actions.py", (app / "middleware.py",), ())
    assert (below.file, below.errors) == (app / "(in)/a/actions.py", (app / "(in)/error.py",))
    assert below.middleware == root.middleware


def test_a_missing_app_folder_is_named(tmp_path):
    with pytest.raises(ConfigError, match="app") as caught:
        scan(tmp_path / "app")
    assert "create it" in str(caught.value.cure)


def test_an_empty_app_folder_has_no_routes(tmp_path):
    assert scan(write(tmp_path)) == Manifest(tmp_path, ())


def test_the_app_folder_may_be_given_relative_to_the_working_folder(tmp_path, monkeypatch):
    write(tmp_path, "app/a/route.py")
    monkeypatch.chdir(tmp_path)

    assert scan(Path("app")).routes[0].file == tmp_path / "app/a/route.py"


CONFLICTS = {
    "two slug names at one place": ("app/[id]/route.py", "app/[slug]/route.py"),
    "two slug names above the files": ("app/[id]/a/route.py", "app/[slug]/b/route.py"),
    "two slug names through groups": ("app/(a)/[id]/route.py", "app/(b)/[slug]/x/route.py"),
    "two catch-all names": ("app/(a)/[...one]/route.py", "app/(b)/[...two]/route.py"),
    "catch-all beside optional": ("app/[...x]/route.py", "app/[[...x]]/route.py"),
    "catch-all beside optional through groups": ("app/(a)/d/[...x]/route.py", "app/d/[[...y]]/route.py"),
    "route beside its optional catch-all": ("app/a/route.py", "app/a/[[...x]]/route.py"),
    "root beside its optional catch-all": ("app/route.py", "app/[[...x]]/route.py"),
    "parameter beside its optional catch-all": ("app/[id]/route.py", "app/[id]/[[...x]]/route.py"),
    "one url through groups": ("app/(a)/x/route.py", "app/(b)/x/route.py"),
    "one url through a group and without": ("app/(a)/route.py", "app/route.py"),
    "one dynamic url through groups": ("app/(a)/[id]/route.py", "app/(b)/[id]/route.py"),
    "one url through an escape": ("app/%61/route.py", "app/a/route.py"),
    "case through groups": ("app/(a)/Posts/route.py", "app/(b)/posts/route.py"),
}


@pytest.mark.parametrize("files", CONFLICTS.values(), ids=CONFLICTS.keys())
def test_a_conflict_names_both_files_relative_to_the_project(tmp_path, files):
    found = refusal(write(tmp_path, *files))

    for file in files:
        assert file in found.message
    assert str(tmp_path) not in found.message


@pytest.mark.parametrize(
    "folders", [("app/Posts", "app/posts"), ("app/a/(In)", "app/a/(in)"), ("app/[id]", "app/[ID]"), ("app/ß", "app/SS")]
)
def test_two_folders_that_differ_only_in_case_are_refused(tmp_path, folders):
    found = refusal(write(tmp_path, *[f"{folder}/route.py" for folder in folders]))

    assert "upper and lower case" in found.message
    for folder in folders:
        assert folder in found.message


def test_a_slug_twice_in_a_path_is_refused(tmp_path):
    found = refusal(write(tmp_path, "app/[id]/comments/[id]/route.py"))

    assert "app/[id]/comments/[id]/route.py" in found.message
    assert "'id' twice" in found.message


@pytest.mark.parametrize("folder", ["[...x]", "[[...x]]"])
def test_a_catch_all_that_is_not_last_is_refused(tmp_path, folder):
    found = refusal(write(tmp_path, f"app/{folder}/edit/route.py"))

    assert f"app/{folder}/edit/route.py" in found.message
    assert "last segment" in found.message


def test_a_group_may_follow_a_catch_all(tmp_path):
    assert patterns(write(tmp_path, "app/[...x]/(group)/route.py")) == ["/[...x]"]


@pytest.mark.parametrize("folder", ["[id", "id]", "[]", "[...]", "[[x]]", "pre[id]", "[1x]", "[request]", "(group"])
def test_a_malformed_name_is_refused_with_its_folder(tmp_path, folder):
    found = refusal(write(tmp_path, f"app/api/{folder}/route.py"))

    assert found.file == tmp_path / "app/api" / folder


def test_what_may_stand_side_by_side(tmp_path):
    app = write(
        tmp_path,
        "app/a/b/route.py",
        "app/a/[id]/route.py",
        "app/a/[...rest]/route.py",
        "app/a/route.py",
        "app/(x)/one/[id]/route.py",
        "app/(y)/two/[slug]/route.py",
    )

    assert len(patterns(app)) == 6


def test_a_static_file_hidden_by_a_route_is_refused(tmp_path):
    app = write(tmp_path, "app/robots.txt/route.py", "public/robots.txt")

    found = refusal(app, tmp_path / "public")

    assert "app/robots.txt/route.py" in found.message and "public/robots.txt" in found.message


def test_a_static_file_is_not_hidden_by_a_route_with_parameters_nor_by_a_folder(tmp_path):
    app = write(
        tmp_path, "app/route.py", "app/[...path]/route.py", "app/img/route.py", "public/img/a.png", "public/b.txt"
    )

    assert len(scan(app, tmp_path / "public").routes) == 3
    assert len(scan(app, tmp_path / "nowhere").routes) == 3


def test_a_file_with_capitals_in_its_name_is_refused(tmp_path):
    found = refusal(write(tmp_path, "app/a/Route.py"))

    assert "app/a/Route.py" in found.message and "route.py" in str(found.cure)


@pytest.mark.parametrize("name", ["route.py", "middleware.py", "error.py"])
def test_a_file_link_out_of_the_project_is_refused(tmp_path, name):
    project, outside = tmp_path / "project", tmp_path / "outside.py"
    outside.touch()
    app = write(project, "app/a/x.txt")
    (app / "a" / name).symlink_to(outside)

    assert f"app/a/{name}" in refusal(app).message


def test_a_folder_link_out_of_the_project_is_refused(tmp_path):
    write(tmp_path / "elsewhere", "app/secret/route.py")
    app = write(tmp_path / "project")
    (app / "a").symlink_to(tmp_path / "elsewhere/app", target_is_directory=True)

    assert "leads out of the project" in refusal(app).message


def test_an_app_folder_that_is_a_link_out_of_the_project_is_refused(tmp_path):
    write(tmp_path / "elsewhere", "app/a/route.py")
    (tmp_path / "project").mkdir()
    (tmp_path / "project/app").symlink_to(tmp_path / "elsewhere/app", target_is_directory=True)

    assert "leads out of the project" in refusal(tmp_path / "project/app").message


def test_a_link_inside_the_project_is_followed(tmp_path):
    app = write(tmp_path, "shared/things/route.py")
    (app / "a").symlink_to(tmp_path / "shared", target_is_directory=True)

    assert patterns(app) == ["/a/things"]


def test_a_link_to_a_folder_above_is_refused(tmp_path):
    app = write(tmp_path, "app/a/route.py")
    (app / "a/again").symlink_to(app, target_is_directory=True)

    assert "a folder above it" in refusal(app).message


def test_a_link_that_leads_nowhere_is_refused_only_where_it_matters(tmp_path):
    app = write(tmp_path, "app/a/route.py")
    (app / ".#route.py").symlink_to("editor@host.123")
    assert patterns(app) == ["/a"]

    (app / "route.py").symlink_to("gone.py")

    assert "leads nowhere" in refusal(app).message


def test_a_project_below_a_link_is_read_as_it_is_named(tmp_path):
    write(tmp_path / "real", "app/a/route.py")
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)

    assert scan(tmp_path / "link/app").routes[0].file == tmp_path / "link/app/a/route.py"


def test_a_manifest_survives_being_written_and_read_elsewhere(tmp_path):
    app = write(
        tmp_path,
        "app/middleware.py",
        "app/error.py",
        "app/%5Ba%5D/[id]/[[...rest]]/route.py",
        "app/(g)/route.py",
        "app/(g)/actions.py",
    )
    manifest = scan(app)

    data = json.loads(json.dumps(manifest.to_json()))

    assert Manifest.from_json(data, tmp_path) == manifest
    assert str(tmp_path) not in json.dumps(data)
    moved = Manifest.from_json(data, Path("/srv"))
    assert moved.routes[0].file == Path("/srv/app/(g)/route.py")


@pytest.mark.parametrize(
    "data",
    [{}, {"version": 0, "routes": []}, {"version": 2}, {"version": 2, "routes": [1]}, {"version": 2, "routes": []}, []],
)
def test_data_that_is_no_manifest_is_refused(data):
    with pytest.raises(ConfigError) as caught:
        Manifest.from_json(data, Path("/srv"))
    assert "turnout build" in str(caught.value.cure)


def test_a_folder_that_cannot_be_read_is_named(tmp_path):
    app = write(tmp_path, "app/a/route.py")
    (app / "a/round").symlink_to("round")

    assert "app/a cannot be read" in refusal(app).message


def test_no_module_of_the_user_is_imported(tmp_path):
    app = write(tmp_path, "app/a/route.py")
    (app / "a/route.py").write_text("raise RuntimeError('imported')")

    assert patterns(app) == ["/a"]
