"""Pages and texts from the Jinja2 templates in ``templates/`` (https://jinja.palletsprojects.com).

Everything is escaped but in ``.txt`` templates, whatever else a name ends with. A name that was
never given is an error with file and line, not an empty place on the page. In development a saved
template is seen at once; elsewhere each is compiled once. Templates are code of the project and run
as such: text from users belongs into their data, never into their source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .errors import ConfigError
from .http.response import Response

if TYPE_CHECKING:
    import jinja2

_UNESCAPED = (".txt",)


class Templates:
    """The templates of one folder.

    Args:
        folder: Where they are; need not exist until one is asked for.
        reload: Look on each use whether the file has changed.
        more: Gives the names that every template may use; asked when the first template is.
    """

    def __init__(self, folder: Path, *, reload: bool = False, more: Callable[[], Mapping[str, Any]] = dict) -> None:
        self.folder, self.reload, self._more = folder, reload, more
        self._environment: jinja2.Environment | None = None

    @property
    def environment(self) -> jinja2.Environment:
        """Jinja2's environment, for filters and globals of your own; made when first asked for.

        Raises:
            ConfigError: Jinja2 is not installed.
        """
        if self._environment is None:
            self._environment = self._make()
        return self._environment

    def _make(self) -> jinja2.Environment:
        try:
            import jinja2
        except ImportError as exc:
            raise ConfigError("templates need jinja2", cure='pip install "turnout[templates]"') from exc
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(self.folder),
            autoescape=lambda name: name is None or not name.endswith(_UNESCAPED),
            undefined=_undefined(),
            auto_reload=self.reload,
            cache_size=-1,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        environment.globals.update(self._more())
        return environment

    def has(self, name: str) -> bool:
        """Whether there is a template *name*."""
        return self._is_name(name) and (self.folder / name).is_file()

    def render(self, name: str, data: dict[str, Any]) -> str:
        """The text of template *name* with *data*.

        Raises:
            ConfigError: it is not there, its syntax is wrong, or it uses a name that was not given.
        """
        environment = self.environment  # first: without Jinja2 there is no TemplateError to import either
        from jinja2 import TemplateError

        try:
            # The name is looked up here, so that a template is told from one that it includes.
            if not self.has(name):
                raise self._missing(name)
            return environment.get_template(name).render(data)
        except TemplateError as exc:
            raise self._error(exc, name) from exc

    def check(self) -> list[ConfigError]:
        """What is wrong with the syntax of any template of the folder; none is rendered."""
        environment = self.environment
        import jinja2

        found = []
        for name in environment.list_templates() if self.folder.is_dir() else ():
            try:
                environment.get_template(name)
            except UnicodeDecodeError:
                pass  # a picture, perhaps; whoever renders it will hear
            except jinja2.TemplateError as exc:
                found.append(self._error(exc, name))
        return found

    def _is_name(self, name: str) -> bool:
        parts = name.split("/")
        return bool(name) and "\\" not in name and "\0" not in name and not {"", ".", ".."} & set(parts)

    def _missing(self, name: str, file: str | None = None, line: int | None = None) -> ConfigError:
        return ConfigError(
            f"there is no template {name!r} in {self.folder}",
            file=file,
            line=line,
            cure=f"make the file {self.folder / name}" if self._is_name(name) else "give a path below templates/",
        )

    def _error(self, exc: jinja2.TemplateError, name: str) -> ConfigError:
        import jinja2

        file, line = self._place(exc.__traceback__)
        if isinstance(exc, jinja2.TemplateSyntaxError):
            return ConfigError(exc.message or "wrong syntax", file=exc.filename, line=exc.lineno, cure=_SYNTAX)
        if isinstance(exc, jinja2.TemplatesNotFound):
            return self._missing(str(exc.templates[-1]) if exc.templates else name, file, line)
        if isinstance(exc, jinja2.TemplateNotFound):
            return self._missing(str(exc.name or name), file, line)
        cure = _UNDEFINED if type(exc) is jinja2.UndefinedError else None
        return ConfigError(exc.message or str(exc), file=file or self.folder / name, line=line, cure=cure)

    def _place(self, trace: TracebackType | None) -> tuple[str | None, int | None]:
        """The deepest line of a template that *trace* goes through; Jinja2 writes them into it."""
        at: tuple[str | None, int | None] = None, None
        while trace is not None:
            file = trace.tb_frame.f_code.co_filename
            if Path(file).is_relative_to(self.folder):
                at = file, trace.tb_lineno
            trace = trace.tb_next
        return at


def _undefined() -> type[jinja2.StrictUndefined]:
    """What stands for a name that is missing: an error, and where the thing that was asked can tell why, its words."""
    import jinja2

    class Told(jinja2.UndefinedError):
        pass

    class Missing(jinja2.StrictUndefined):
        def __init__(self, hint: str | None = None, obj: Any = jinja2.utils.missing, name: Any = None, *rest: Any):
            tell = getattr(type(obj), "__absent__", None)
            if tell is None:
                super().__init__(hint, obj, name, *rest)
            else:
                super().__init__(tell(obj, name), obj, name, Told)

    return Missing


_SYNTAX = "mend this line; https://jinja.palletsprojects.com/templates has the syntax"
_UNDEFINED = 'give it to render(), or write {{ name|default("") }} where it may be missing'
_configured: Templates | None = None


def configure(folder: Path, *, reload: bool = False, more: Callable[[], Mapping[str, Any]] = dict) -> Templates:
    """Say where the project's templates are, and the names that all of them know; another project's are forgotten."""
    global _configured
    _configured = Templates(folder, reload=reload, more=more)
    return _configured


def templates() -> Templates:
    """The project's templates.

    Raises:
        ConfigError: outside of a project.
    """
    if _configured is None:
        raise ConfigError(
            "there is no project whose templates could be used", cure="run inside a project, or call load_project()"
        )
    return _configured


def render(name: str, /, **data: Any) -> Response:
    """The page that template *name* makes of *data*: ``render("posts.html", posts=posts)``.

    Its type is that of the name's ending. ``request`` is there in the template while one is being answered.

    Raises:
        ConfigError: the template is missing or wrong; with file and line.
    """
    import mimetypes

    from .context import current

    request = current.get(None)
    text = templates().render(name, data if request is None else {"request": request, **data})
    kind = mimetypes.guess_type(name)[0] or "text/plain"
    return Response(text.encode(), headers={"content-type": f"{kind}; charset=utf-8"})


def render_text(name: str, /, **data: Any) -> str:
    """The text that template *name* makes of *data*.

    Raises:
        ConfigError: the template is missing or wrong; with file and line.
    """
    return templates().render(name, data)
